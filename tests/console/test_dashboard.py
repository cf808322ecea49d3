"""The home page."""

from datetime import UTC, datetime, timedelta

from app.extensions import db
from app.models import DailyRollup, Record, Rollup
from app.models.base import utcnow
from app.protocol.limit import Measure
from app.services import accounts, allowances, reports
from app.services.reports import SUMS
from tests.rooms import ADMIN, ALICE


def states(page):
    return [item["class"][0] for item in page.soup.select(".guide > li")]


def record(app, email, number, **values):
    with app.app_context():
        user = accounts.by_email(email)
        row = {
            "id": f"call_{number:027d}",
            "at": utcnow() - timedelta(seconds=number),
            "request_id": f"req_{number}",
            "user_id": user.id,
            "token_id": 1,
            "endpoint": "responses.create",
            "protocol": "openai",
            "model": f"model-{number}",
            "status": 200,
            "end": "completed",
            "total_ms": 1234,
        }
        db.session.add(Record(**row | values))
        db.session.commit()


def test_the_guide_goes_with_the_administrator(app, admin_there, provider):
    assert states(admin_there.get("/")) == ["now", "later", "later"]
    assert not admin_there.get("/").soup.select(".numbers"), "nothing but zeros, while there is so much to do"
    form = {"name": "main", "base_url": provider.url, "key": "any-key-will-do-here"}
    upstream = admin_there.submit("/admin/upstreams/new", form).location
    assert states(admin_there.get("/")) == ["done", "now", "later"]
    picked = admin_there.submit(f"{upstream}/models", {"ticked": ["m-1"]})
    assert picked.location == "/", "back to the guide"
    assert states(admin_there.get("/")) == ["done", "done", "now"]
    secret = admin_there.submit("/tokens/new", {"name": "first"}).location
    assert "curl http://127.0.0.1:8080/v1/chat/completions" in admin_there.get(secret).text
    assert states(admin_there.get("/")) == []
    assert admin_there.get("/").soup.select(".numbers")


def test_a_user_has_one_step(alice_there, furnished, app):
    assert states(alice_there.get("/")) == [], "there is a token"
    alice_there.submit("/tokens/1/revoke")
    assert states(alice_there.get("/")) == ["now"]
    assert alice_there.get("/").soup.select_one(".guide a")["href"] == "/tokens/new"


def test_last_requests_are_ones_own(app, alice_there, furnished):
    assert "No requests yet" in alice_there.get("/").text
    for number in range(12):
        record(app, ALICE, number)
    record(app, ADMIN, 99, model="secret-of-admin")
    page = alice_there.get("/")
    rows = page.soup.find("caption", string="Last requests").parent.tbody.find_all("tr")
    assert [row.find(attrs={"data-label": "Model"}).get_text() for row in rows] == [f"model-{n}" for n in range(10)]
    assert "secret-of-admin" not in page.text
    assert rows[0].find(attrs={"data-label": "Duration"}).get_text() == "1.2 s"


def test_unknown_usage_is_not_zero(app, alice_there, furnished):
    record(app, ALICE, 1, input_tokens=1234, output_tokens=None)
    row = alice_there.get("/").soup.find("caption", string="Last requests").parent.tbody.tr
    assert row.find(attrs={"data-label": "Input tokens"}).get_text() == "1,234"
    assert row.find(attrs={"data-label": "Output tokens"}).get_text() == "–"


def test_a_failed_request_says_why_as_text(app, alice_there, furnished):
    record(app, ALICE, 1, status=404, reason="<b>model_not_found</b>", model="<i>x</i>")
    page = alice_there.get("/")
    assert "<b>model_not_found</b>" in page.text
    assert not page.soup.main.find("b")


def test_sums_are_of_the_period_and_ones_own(app, alice_there):
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    sums = dict.fromkeys(SUMS, 0)
    with app.app_context():
        for user, days, requests in ((1, 0, 3), (1, 6, 4), (1, 20, 5), (2, 0, 100)):
            at = now - timedelta(days=days)
            mine = {"user_id": user, "token_id": 1, "model": "m", "upstream_id": 1} | sums | {"requests": requests}
            db.session.add(Rollup(hour=at, **mine))
            db.session.add(DailyRollup(day=at.replace(hour=0), **mine))
        db.session.commit()
    for days, requests in ((1, "3"), (7, "7"), (30, "12"), (99, "7")):
        page = alice_there.get(f"/?days={days}")
        assert page.soup.select_one(".numbers strong").get_text() == requests
        assert len(page.soup.select("svg.columns rect")) == {1: 24, 30: 30}.get(days, 7)


def test_limits_are_bars_with_what_is_used_and_when_they_begin_anew(app, alice_there, furnished, admin_there):
    assert not alice_there.get("/").soup.select("progress")
    with app.app_context():
        alice = accounts.by_email(ALICE)
        number = alice.id
        most = {Measure.DAY: 4_000_000_000, Measure.CONCURRENT: 0}
        allowances.put("user", alice.id, most=most, actor=None)
        allowances.put("token", 1, model="gpt-*", most={Measure.REQUESTS: 60}, actor=None)
        allowances.put("user", accounts.by_email(ADMIN).id, most={Measure.TOTAL: 1}, actor=None)
        today = {"user_id": alice.id, "token_id": 1, "model": "m", "upstream_id": 1} | dict.fromkeys(SUMS, 0)
        day = utcnow().replace(hour=0, minute=0, second=0, microsecond=0)
        db.session.add(DailyRollup(day=day, **today | {"cost_nanos": 3_400_000_000}))
        db.session.add(Rollup(hour=day, **today | {"cost_nanos": 3_400_000_000}))
        db.session.commit()
    for browser, path, listed, live, whose in (
        (alice_there, "/", "/usage", "/usage/live", ""),
        (admin_there, f"/admin/users/{number}", "/admin/requests", "/admin/live", f"user={number}"),
    ):
        items = browser.get(path).soup.select(".limits li")
        told = {" ".join(item.get_text(" ").split()): item.progress for item in items}
        money, requests, full = sorted(told)
        assert money.startswith("Dollars a day $3.40 / $4.00 begins anew in ")
        assert (told[money]["value"], told[money]["class"]) == ("0.850", ["warn"])
        assert full == "Requests at a time 0 / 0 at any moment"
        assert (told[full]["value"], told[full]["class"]) == ("1.000", ["bad"])
        assert requests.startswith("Requests a minute · gpt-* · laptop 0 / 60 begins anew in")
        for bar in told.values():
            assert " ".join(browser.get(path).soup.find(id=bar["aria-labelledby"]).get_text(" ").split()) in " ".join(
                told
            )
        leads = {item.progress["class"][0] if item.progress["class"] else "": item.a["href"] for item in items}
        assert leads["bad"] == f"{live}?{whose}".rstrip("?")
        assert leads["warn"] == f"{listed}?since={day:%Y-%m-%dT%H:%M}&{whose}".rstrip("&")
        assert leads[""].startswith(f"{listed}?token=1&model=gpt-*&since=")


def test_limits_of_rotated_tokens_lead_to_what_all_of_them_used(app, alice_there, furnished):
    with app.app_context():
        allowances.put("token", 1, model="mod*", most={Measure.TOTAL: 10**9}, actor=None)
    alice_there.submit("/tokens/1/rotate")
    for number, (token, model) in enumerate([(1, "model-a"), (2, "model-b"), (1, "other")]):
        record(app, ALICE, number, token_id=token, model=model)
    for number in (1, 2):
        bar = alice_there.get("/").soup.select(".limits li")
        assert len(bar) == 1, "they count together"
        assert bar[0].a["href"] == "/usage?line=1&model=mod*"
        rows = alice_there.get(bar[0].a["href"]).soup.find("caption", string="Requests").parent.tbody.find_all("tr")
        assert [row.find(attrs={"data-label": "Model"}).get_text() for row in rows] == ["model-a", "model-b"]
        names = [row.find(attrs={"data-label": "Token"}).get_text(strip=True) for row in rows]
        assert len(set(names)) == 2 and all(name.startswith("laptop …") for name in names), "both are called laptop"
        if number == 1:
            alice_there.submit("/tokens/1/revoke")


def test_no_more_models_are_read_than_are_shown(app, alice_there, monkeypatch):
    """Whoever calls may name any number of them, and the worker has others to serve."""
    with app.app_context():
        user, today = accounts.by_email(ALICE), utcnow().replace(hour=0, minute=0, second=0, microsecond=0)
        sums = dict.fromkeys(SUMS, 1) | {"day": today, "user_id": user.id, "token_id": 1, "upstream_id": 0}
        db.session.execute(db.insert(DailyRollup), [sums | {"model": f"m-{n}", "requests": n} for n in range(900)])
        db.session.commit()
    read, of = [], reports.Totals.of
    monkeypatch.setattr(reports.Totals, "of", lambda row: read.append(1) or of(row))
    page = alice_there.get("/?days=7")
    assert "m-899" in page.text
    assert "m-889" not in page.text
    assert len(read) < 50
