"""The first page of administration: what is wrong and what to do about it, and how all is going."""

import time
from datetime import timedelta

import pytest

from app import create_app
from app.extensions import db
from app.models import DailyRollup, Record, Rollup
from app.models.base import utcnow
from app.protocol.record import Attempt, End
from app.services import catalog, glance, posting, upstreams
from app.services.context import context
from app.services.posting import SUMS, day_of, hour_of
from app.settings import VERSION
from app.upstreams.verdict import Scope, Verdict
from tests.rooms import ADMIN, Browser
from tests.services.writing import record

SUMMED = {
    "/admin": ("Traffic, 24 hours", "Upstreams", "Errors by kind"),
    "/admin/requests": ("Sums",),
    "/admin/models": ("Asked for, not served",),
    "/usage": ("Sums",),
    "/": ("Requests", "By model"),
    "/?days=1": ("Requests", "By model"),
    "/usage/conversations": ("Conversations",),
}
"""Tables of numbers that stand for several records each."""


def warnings(browser):
    return [note.get_text(" ", strip=True) for note in browser.get("/admin").soup.select(".note.bad, .note.warn")]


def test_what_is_missing_is_told_with_where_to_mend_it(admin_there):
    page = admin_there.get("/admin")
    links = [note.a["href"] for note in page.soup.select(".note.bad")]
    assert links == ["/admin/upstreams/new", "/admin/models"]


def test_all_is_well(admin_there, furnished):
    assert warnings(admin_there) == []
    page = admin_there.get("/admin")
    assert "Nothing needs your attention." in page.text
    numbers = {n.parent.get_text(" ", strip=True): n.get_text() for n in page.soup.select(".numbers strong")}
    assert numbers["1 Upstreams"] and numbers["2 Models"] and numbers["2 Users"]
    assert numbers["0 Requests, 24 hours"]
    assert "Models without a price: 2. What they cost is unknown" in page.soup.select_one(".note:not(.good)").get_text(
        " ", strip=True
    ), "a hint, nothing that keeps anybody from working"


def test_what_is_switched_off_is_told(app, admin_there, furnished):
    with app.app_context():
        for number in (1, 2):
            upstreams.set_credential_enabled(number, enabled=False, actor=None)
    assert "has no enabled credential" in warnings(admin_there)[0]
    with app.app_context():
        upstreams.set_enabled(1, enabled=False, actor=None)
        catalog.set_model_enabled(2, enabled=False, actor=None)
    assert [text.split(".")[0] for text in warnings(admin_there)] == [
        "All upstreams are disabled",
        "No enabled upstream serves the model gpt-5",
    ]


@pytest.mark.acceptance("C-4")
@pytest.mark.parametrize(
    ("public_url", "warned"),
    [
        ("http://realms.example.com", True),
        ("http://10.0.0.5:8080", True),
        ("http://127.0.0.1:8080", False),
        ("http://[::1]:8080", False),
        ("http://localhost", False),
    ],
)
def test_an_address_without_encryption(settings, people, public_url, warned):
    app = create_app(settings.model_copy(update={"public_url": public_url}))
    told = warnings(Browser(app).sign_in(ADMIN))
    assert any("without encryption" in text for text in told) is warned
    with app.app_context():
        db.engine.dispose()


def rest(app, key, **more):
    with app.app_context():
        verdict = Verdict(scope=Scope.UPSTREAM, reason="status_500", at_once=True, **more)
        context().explainer._signs.health.failed(key, verdict, time.time(), trial=False)


def test_who_is_left_out_is_told_with_until_when_and_what_to_do(app, admin_there, furnished):
    for key in ("u:1", "r:1:gpt-5", "c:2"):
        rest(app, key, rest_s=300.0)
    told = warnings(admin_there)
    assert [text.partition(" is left out after status_500, to be tried again in 5 minutes.")[0] for text in told] == [
        "main, credential second",
        "main (gpt-5)",
        "main",
    ]
    assert all("look at its last failures" in text for text in told)
    assert "left out" in admin_there.get("/admin").soup.find("caption", string="Upstreams").parent.tbody.get_text()
    assert "left out in 5 minutes" in " ".join(admin_there.get("/admin/upstreams").text.split())


def test_an_upstreams_own_page_tells_how_it_is_at_the_moment(app, admin_there, furnished):
    refused = {"status": 502, "end": End.REFUSED, "attempts": (Attempt(upstream_id=1, credential_id=1, total_ms=3),)}
    with app.app_context(), db.engine.begin() as connection:
        posting.post(connection, [record(1, at=time.time(), **refused)], again=False)
    rest(app, "u:1", rest_s=300.0)
    facts = admin_there.get("/admin/upstreams/1").soup.select_one("dl.facts")
    told = {name.get_text(): name.find_next_sibling("dd") for name in facts.find_all("dt")}
    assert "left out in 5 minutes" in " ".join(told["State"].get_text(" ").split())
    assert told["Under way"].a.get_text() == "0"
    for link, count in zip(told["Requests, 24 hours"].find_all("a"), ("1", "errors: 100%"), strict=True):
        assert link.get_text() == count
        assert len(admin_there.get(link["href"]).soup.find("caption", string="Requests").parent.select("tbody tr")) == 1


def test_a_sealed_key_that_nobody_can_open_is_told(app, settings, admin_there, furnished):
    other = create_app(settings.model_copy(update={"vault_keys": type(settings.vault_keys)("another-vault-key" * 3)}))
    with other.app_context():
        context().directory.refresh()
    told = warnings(Browser(other).sign_in(ADMIN))
    assert [text.split(" with the present")[0] for text in told] == [
        "The credential default of main can't be opened",
        "The credential second of main can't be opened",
    ]
    with other.app_context():
        db.engine.dispose()


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"trusted_proxies": "0.0.0.0/0"}, "Any address may name its client's address"),
        ({"redis_url": "redis://127.0.0.1:1/0"}, "Redis can't be reached"),
    ],
)
def test_what_is_wrong_with_the_house_is_told(settings, people, environment, told):
    app = create_app(type(settings)(**settings.model_dump(exclude_unset=True) | environment))
    with app.app_context():
        context().explainer.catch_up()
    assert any(text.startswith(told) for text in warnings(Browser(app).sign_in(ADMIN)))
    with app.app_context():
        db.engine.dispose()


def test_it_tells_which_release_runs(admin_there):
    facts = admin_there.get("/admin").soup.find("h2", string="This server").parent.dl
    assert facts.find("dt", string="Version").find_next_sibling("dd").get_text(strip=True) == VERSION


def test_it_says_that_it_looked_at_some_of_a_days_requests_alone(app, admin_there, furnished, monkeypatch):
    with app.app_context(), db.engine.begin() as connection:
        posting.post(connection, [record(n, at=time.time()) for n in range(5)], again=False)
    told = "Among the newest {} requests of 24 hours."
    page = admin_there.get("/admin")
    assert "Among the newest" not in page.text
    assert "Nothing failed within 24 hours." in page.text
    monkeypatch.setattr(glance, "LOOKED_AT", 4)
    page = admin_there.get("/admin")
    heads = [
        page.soup.find("h2", string=name).parent.get_text(" ", strip=True)
        for name in ("Errors by kind", "Slowest to begin")
    ]
    assert all(told.format(4) in head for head in heads)
    assert "Nothing failed among them." in page.text
    monkeypatch.setattr(glance, "LOOKED_AT", 5)
    assert "Among the newest" not in admin_there.get("/admin").text, "all of them"


def test_every_number_leads_to_its_rows(app, admin_there, furnished):
    told = [record(n, at=time.time(), model="gpt-5", user_id=2, conversation="c" * 32) for n in range(3)]
    refused = {"status": 404, "end": End.REFUSED, "reason": "x", "attempts": ()}
    told.append(record(9, at=time.time(), model="absent", user_id=2, **refused))
    with app.app_context(), db.engine.begin() as connection:
        posting.post(connection, told, again=False)
    for path, names in SUMMED.items():
        page = admin_there.get(path)
        cells = [cell for name in names for cell in page.soup.find("caption", string=name).parent.select("td.num")]
        assert [cell for cell in cells if not cell.a and cell.get_text(strip=True) != "–"] == [], path
        assert {admin_there.get(cell.a["href"]).status for cell in cells if cell.a} == {200}
    unserved = admin_there.get("/admin/models").soup.find("caption", string="Asked for, not served").parent
    listed = admin_there.get(unserved.select_one("td.num a")["href"])
    assert "absent" in listed.soup.find("caption", string="Requests").parent.get_text()


def test_a_day_at_a_glance(app, admin_there, furnished):
    now = utcnow()
    with app.app_context():
        sums = dict.fromkeys(SUMS, 0) | {"requests": 200, "errors": 10}
        key = {"user_id": 1, "token_id": 1, "model": "m", "upstream_id": 1}
        db.session.add_all([Rollup(hour=hour_of(now), **key, **sums), DailyRollup(day=day_of(now), **key, **sums)])
        told = [(500, End.FAILED, "overloaded", 9), (200, End.COMPLETED, "", 30), (200, End.UPSTREAM_CUT, "broken", 2)]
        told.append((429, End.REFUSED, "<b>x</b>", 800))
        for status, end, reason, first in told:
            for n in range(2 if status == 500 else 1):
                at = now - timedelta(minutes=n)
                shown = {"endpoint": "chat.create", "protocol": "openai", "model": "m", "upstream_id": 1}
                ids = {"id": f"{status}-{reason}-{n}", "request_id": "r", "user_id": 1, "token_id": 1}
                times = {"first_byte_ms": first, "total_ms": 900}
                db.session.add(Record(**ids, **shown, **times, at=at, status=status, end=end, reason=reason))
        old = {"endpoint": "chat.create", "protocol": "openai", "first_byte_ms": 9999, "total_ms": 9999}
        ids = {"id": "old", "request_id": "r", "user_id": 1, "token_id": 1}
        db.session.add(Record(**ids, **old, at=now - timedelta(days=2), status=500, end=End.FAILED, reason="old"))
        db.session.commit()
    page = admin_there.get("/admin")
    assert "5% Errors, 24 hours" in page.text
    kinds = page.soup.find("caption", string="Errors by kind").parent.tbody.find_all("tr")
    assert kinds[0].th.get_text(strip=True) == "500", "there are two of them"
    assert {row.a.get_text() for row in kinds} == {"overloaded", "broken", "<b>x</b>"}
    assert admin_there.get(kinds[0].a["href"]).soup.find("caption", string="Requests").parent.tbody.find_all("tr")[1:]
    slow = page.soup.find("caption", string="Slowest to begin").parent.tbody.find_all("tr")
    assert [row.a.get_text() for row in slow] == ["30 ms", "2 ms"], (
        "refusals are quick or slow for reasons of their own"
    )
