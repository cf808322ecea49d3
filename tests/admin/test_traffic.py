"""Everybody's requests, for administrators."""

import json
from datetime import timedelta

from app.models.base import utcnow
from app.protocol.record import Attempt, End
from app.services import posting
from app.web import requests
from tests.console.test_usage import keep, models, rows
from tests.rooms import ADMIN, ALICE
from tests.services.writing import record

TRIED = (Attempt(upstream_id=1, credential_id=1, total_ms=3, status=200),)


def test_everybodys_requests_are_listed_and_filtered(app, alice_there, admin_there):
    assert "No requests yet" in admin_there.get("/admin/requests").text
    keep(app, ALICE, 1, 2)
    keep(app, ADMIN, 3)
    page = admin_there.get("/admin/requests")
    assert models(page) == ["model-3", "model-2", "model-1"]
    assert ALICE in page.text
    assert models(admin_there.get("/admin/requests?upstream=2&model=model-2")) == ["model-2"]
    assert models(admin_there.get("/admin/requests?upstream=1")) == []


def test_one_users_requests_are_found_by_a_list_or_an_address(app, alice_there, admin_there, monkeypatch):
    keep(app, ALICE, 1, 2)
    keep(app, ADMIN, 3)
    for wanted in ("1", ALICE, ALICE.upper()):
        page = admin_there.get(f"/admin/requests?user={wanted}")
        assert models(page) == ["model-2", "model-1"], wanted
        assert page.soup.find(id="by-user").find("option", selected=True).get_text() == ALICE
    for nobody in ("nobody@example.com", "nobody", "9" * 30):
        assert models(admin_there.get(f"/admin/requests?user={nobody}")) == [], nobody
    monkeypatch.setattr(requests, "CHOICES_MOST", 1)
    for wanted, told in (("1", ALICE), (ALICE, ALICE), ("nobody@example.com", "nobody@example.com"), ("", "")):
        page = admin_there.get(f"/admin/requests?user={wanted}")
        assert (page.soup.find(id="by-user").name, page.soup.find(id="by-user")["value"]) == ("input", told)
    assert {ALICE, ADMIN} <= {cell.get_text(strip=True) for cell in page.soup.select("td.who")}


def count_of(page):
    """How many requests a page lists."""
    return len(models(page))


def test_each_number_of_a_day_leads_to_just_the_requests_it_counts(app, admin_there, furnished):
    now = utcnow()
    began, bad = posting.hour_of(now) - timedelta(hours=23), {"status": 502, "end": End.REFUSED}
    for number, at, more in (
        (1, now, {}),
        (2, now, bad | {"reason": "overloaded"}),
        (3, began, bad),
        (4, began, {"end": End.UPSTREAM_CUT, "reason": "broken"}),
        (5, began - timedelta(seconds=1), bad),  # not of this day
        (6, now, {"attempts": (), "status": 429, "end": End.REFUSED, "reason": "overloaded"}),
    ):
        keep(app, ADMIN, number, **{"at": at.timestamp(), "attempts": TRIED} | more)
    page = admin_there.get("/admin")
    of = {a.get_text(" ", strip=True).split(" ", 1)[1]: a["href"] for a in page.soup.select(".numbers a")}
    assert count_of(admin_there.get(of["Requests, 24 hours"])) == 5
    assert count_of(admin_there.get(of["Errors, 24 hours"])) == 3
    assert count_of(admin_there.get(of["Cost, 24 hours"])) == 5
    for caption, label in (
        ("Errors by kind", "Kind"),
        ("Traffic, 24 hours", "Requests"),
        ("Traffic, 24 hours", "Errors"),
    ):
        for row in page.soup.find("caption", string=caption).parent.tbody.find_all("tr"):
            told = row.find("td", attrs={"data-label": "Number" if label == "Kind" else label}).get_text(strip=True)
            link = row.find("td", attrs={"data-label": label}).a["href"]
            assert count_of(admin_there.get(link)) == int(told), row.get_text(" ", strip=True)
    for where in ("/admin", "/admin/upstreams"):
        row = admin_there.get(where).soup.find("caption", string="Upstreams").parent.tbody.tr
        listed = [
            count_of(admin_there.get(a["href"])) for a in row.select("a[href*='upstream=']") if "live" not in a["href"]
        ]
        assert listed == ([4, 2] if where == "/admin" else [2])


def test_a_filter_by_the_hour_stays_when_the_form_is_sent_again(app, admin_there):
    keep(app, ADMIN, 3)
    page = admin_there.get("/admin/requests?since=2027-01-15T08:00&until=2027-01-15T09:00&reason=-")
    assert models(page) == ["model-3"]
    form = {field["name"]: (field["type"], field["value"]) for field in page.soup.select(".filter input")}
    assert form["since"] == ("datetime-local", "2027-01-15T08:00")
    assert form["until"] == ("datetime-local", "2027-01-15T09:00")
    assert form["reason"] == ("text", "-")
    assert models(admin_there.get("/admin/requests?since=2027-01-15T08:01")) == []
    assert models(admin_there.get("/admin/requests?until=2027-01-15T08:00")) == []
    assert models(admin_there.get("/admin/requests?reason=broken")) == []
    for rubbish in ("2027-01-15T", "2027-01-15T25:00", "0001-01-01T00:00", "9999-12-31T23:59", "T", "x" * 500):
        assert models(admin_there.get(f"/admin/requests?since={rubbish}")) == ["model-3"], rubbish


def test_a_request_is_found_by_its_id(app, admin_there):
    keep(app, ADMIN, 3)
    for named in ("req_3", record(3).id):
        assert admin_there.get(f"/admin/requests?id={named}").location == f"/admin/requests/{record(3).id}"
    assert "No request has this id" in admin_there.get("/admin/requests?id=nothing").text


def test_one_request_shows_who_tried_what(app, admin_there):
    keep(app, ADMIN, 3)
    page = admin_there.get(f"/admin/requests/{record(3).id}")
    assert "credential 5" in page.text
    assert "upstream_error" in page.text
    assert ADMIN in page.text
    assert json.loads(page.soup.select_one("pre").get_text())["attempts"][1]["upstream_request_id"] == "u"
    assert page.soup.main.find("a", href="/admin/explain?request=req_3")
    assert admin_there.get("/admin/requests/nothing").status == 404


def test_others_do_not_see_it(app, alice_there):
    keep(app, ADMIN, 3)
    for path in ("/admin/requests", f"/admin/requests/{record(3).id}", "/admin/requests.csv", "/admin/prices"):
        assert alice_there.get(path).status == 404


def test_exports_ask_for_the_password_and_say_who_served(app, admin_there):
    keep(app, ADMIN, 3)
    head, row = rows(admin_there.get("/admin/requests.csv"))
    assert row[head.index("upstream_id")] == "2"
    assert rows(admin_there.get("/admin/requests-model.csv"))[0][0] == "model"
