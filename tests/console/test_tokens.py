"""One's own tokens."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from app.extensions import db
from app.models import DailyRollup, Token
from app.models.base import utcnow
from app.services import accounts, allowances, audit, tokens
from app.services.reports import SUMS
from app.web import reveal
from tests.rooms import ADMIN, ALICE, Browser, filled, later

SECRET = re.compile(r"sk_[A-Za-z0-9_-]{43}")


def mine(app, email=ALICE):
    with app.app_context():
        return [
            (t.name, t.models, t.expires_at, t.revoked_at, t.digest) for t in tokens.list_for(accounts.by_email(email))
        ]


def make(browser, **fields):
    return browser.submit("/tokens/new", {"name": "laptop"} | fields)


@pytest.mark.acceptance("A-1")
def test_a_secret_is_shown_once_and_never_in_an_address(app, alice_there, furnished):
    answer = make(alice_there, name="desk")
    assert re.fullmatch(r"/tokens/\d+/secret", answer.location)
    assert not SECRET.search(str(answer.headers))
    page = alice_there.get(answer.location)
    secret = SECRET.search(page.html)[0]
    assert f"REALMS_TOKEN={secret}" in page.text
    assert f"Authorization: Bearer {secret}" in page.text
    assert mine(app)[0][4] == tokens.digest(secret)
    again = alice_there.get(answer.location)
    assert again.location == "/tokens"
    listed = alice_there.follow(again)
    assert "can't be shown again" in listed.text
    assert f"sk_…{secret[-4:]}" in listed.text
    for path in ("/", "/tokens", "/account", "/connect"):
        assert secret not in alice_there.get(path).html


def test_the_secret_waits_encrypted(alice_there):
    make(alice_there)
    with alice_there.client.session_transaction() as session:
        assert "sk_" not in str(dict(session))


def test_the_secret_waits_for_a_moment_only(alice_there, monkeypatch):
    answer = make(alice_there)
    monkeypatch.setattr(reveal, "SHOWN_S", -1)
    assert alice_there.get(answer.location).location == "/tokens"


@pytest.mark.acceptance("C-15")
def test_a_double_click_makes_one_token_and_shows_it(app, alice_there):
    form = filled(alice_there.get("/tokens/new").form("/tokens/new"), {"name": "laptop"})
    first, second = alice_there.post("/tokens/new", form), alice_there.post("/tokens/new", form)
    assert first.location == second.location
    assert len(mine(app)) == 1
    assert SECRET.search(alice_there.get(second.location).html)


@pytest.mark.acceptance("C-15")
def test_clicks_at_the_same_moment_make_one_token(app, alice_there):
    form = filled(alice_there.get("/tokens/new").form("/tokens/new"), {"name": "laptop"})
    cookie = alice_there.cookie().value

    def click(_number):
        browser = Browser(app)
        browser.client.set_cookie("realms", cookie)
        return browser.post("/tokens/new", form).location

    with ThreadPoolExecutor(4) as clicks:
        places = set(clicks.map(click, range(4)))
    assert len(places) == 1
    assert len(mine(app)) == 1


@pytest.mark.acceptance("C-15")
def test_the_back_button_later_shows_nothing(app, alice_there, monkeypatch):
    form = filled(alice_there.get("/tokens/new").form("/tokens/new"), {"name": "laptop"})
    alice_there.get(alice_there.post("/tokens/new", form).location)
    later(app, Token, created_at=timedelta(minutes=3))
    assert alice_there.post("/tokens/new", form).location == "/tokens"
    monkeypatch.setattr(reveal, "FORM_S", -1)
    assert "lain for too long" in alice_there.post("/tokens/new", form).text
    assert len(mine(app)) == 1


@pytest.mark.acceptance("C-15")
def test_two_tabs_make_two_tokens(app, alice_there):
    forms = [filled(alice_there.get("/tokens/new").form("/tokens/new"), {"name": name}) for name in ("a", "b")]
    for form in forms:
        alice_there.post("/tokens/new", form)
    assert {row[0] for row in mine(app)} == {"a", "b"}


def test_somebody_elses_form_makes_no_token(app, alice_there, admin_there):
    form = filled(alice_there.get("/tokens/new").form("/tokens/new"), {"name": "x", "csrf_token": admin_there.token()})
    stolen = admin_there.post("/tokens/new", form)
    alice_there.post("/tokens/new", form | {"csrf_token": alice_there.token()})
    assert stolen.status == 302
    assert len(mine(app, ADMIN)) + len(mine(app)) == 1


def test_limits(app, alice_there, furnished):
    make(alice_there, name="one model", scope="some", models=["gpt-5"])
    make(alice_there, name="dated", expires_on="2030-01-31")
    dated, limited, *_rest = mine(app)
    assert limited[:2] == ("one model", ["gpt-5"])
    assert dated[2].isoformat() == "2030-01-31T23:59:59+00:00"
    assert dated[1] is None


def test_what_is_refused_is_told_at_its_field(app, alice_there, furnished):
    assert "Please fill in this field." in make(alice_there, name=" ").text
    assert "Please use at most 100 characters." in make(alice_there, name="x" * 101).text
    assert "Choose a moment in the future." in make(alice_there, expires_on="2020-01-01").text
    assert "Choose at least one model" in make(alice_there, scope="some").text
    assert "can't be read" not in make(alice_there, models=["no-such-model"], scope="some").text
    assert "Not a valid date value." in make(alice_there, expires_on="tomorrow").text
    assert [row[0] for row in mine(app)] == ["laptop"], "only the one that was there"


def test_revoking_asks_first(app, alice_there, furnished):
    page = alice_there.get("/tokens/1/revoke")
    assert "will be refused within a second" in page.text
    assert mine(app)[0][3] is None
    assert alice_there.submit("/tokens/1/revoke").location == "/tokens"
    assert mine(app)[0][3] is not None
    assert "revoked" in alice_there.get("/tokens").text
    assert alice_there.get("/tokens/1/revoke").location == "/tokens"


@pytest.mark.acceptance("B-16")
def test_nobody_touches_anothers_token(app, admin_there, furnished):
    assert admin_there.get("/tokens/1/revoke").status == 404
    assert admin_there.get("/tokens/1/secret").status == 404
    assert admin_there.post("/tokens/1/revoke", {"csrf_token": admin_there.token()}).status == 404
    assert mine(app)[0][3] is None


def test_nothing_yet(alice_there):
    page = alice_there.get("/tokens")
    assert "No tokens yet" in page.text
    assert page.soup.find(class_="empty").a["href"] == "/tokens/new"


def test_a_name_is_text(alice_there):
    nasty = "<script>alert(1)</script>\"'"
    answer = make(alice_there, name=nasty)
    for page in (alice_there.get(answer.location), alice_there.get("/tokens"), alice_there.get("/")):
        assert nasty in page.soup.main.get_text()
        assert "<script>alert" not in page.html


def test_the_list_shows_what_each_token_spent(app, alice_there, furnished):
    sums = dict.fromkeys(SUMS, 0) | {"requests": 3, "cost_nanos": 1_500_000_000}
    with app.app_context():
        for days in (0, 40):
            key = {"user_id": 1, "token_id": 1, "model": "m", "upstream_id": 1}
            day = utcnow().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)
            db.session.add(DailyRollup(day=day, **key, **sums))
        db.session.commit()
    cell = alice_there.get("/tokens").soup.find(attrs={"data-label": "Cost, 30 days"})
    since = (utcnow() - timedelta(days=29)).date()
    assert (cell.get_text(strip=True), cell.a["href"]) == ("$1.50", f"/usage?token=1&since={since}")


def limits_of(app, number):
    with app.app_context():
        return {m.value: most for m, most in allowances.present("token", number).items() if most is not None}


def test_limits_are_set_with_the_token_and_changed_with_it(app, alice_there, furnished):
    make(alice_there, requests_minute="60", money_day="2.50")
    assert limits_of(app, 2) == {"requests_minute": 60, "money_day": 2_500_000_000}
    page = alice_there.get("/tokens/2")
    assert page.soup.find(id="money_day")["value"] == "2.5"
    assert page.soup.find(id="requests_minute").find_parent("details").has_attr("open")
    assert not alice_there.get("/tokens/1").soup.find(id="requests_minute").find_parent("details").has_attr("open")
    alice_there.submit("/tokens/2", {"money_day": "", "concurrent": "3"})
    assert limits_of(app, 2) == {"requests_minute": 60, "concurrent": 3}
    assert alice_there.get("/tokens/2/limits").status == 200
    alice_there.submit("/tokens/2", {"requests_minute": "", "concurrent": ""})
    assert limits_of(app, 2) == {}


def test_a_token_whose_limit_is_none_is_not_made(app, alice_there):
    for field, value in (("money_day", "much"), ("requests_minute", "-1"), ("money_total", "-2")):
        page = make(alice_there, **{field: value})
        assert page.soup.find(id=field)["aria-invalid"] == "true"
        assert page.soup.find(id=field).find_parent("details").has_attr("open")
    assert mine(app) == []


def test_an_old_form_sent_again_changes_no_limit(app, alice_there):
    form = filled(alice_there.get("/tokens/new").form("/tokens/new"), {"name": "laptop", "requests_minute": "60"})
    assert alice_there.post("/tokens/new", form).location == "/tokens/1/secret"
    alice_there.submit("/tokens/1", {"requests_minute": "5"})
    alice_there.post("/tokens/new", form)
    assert limits_of(app, 1) == {"requests_minute": 5}


def test_what_stays_as_it_is_is_not_audited_as_a_limit(app, alice_there):
    make(alice_there, requests_minute="60")
    alice_there.submit("/tokens/1", {"name": "desk"})
    with app.app_context():
        assert [entry.action for entry in audit.list_entries(limit=9)][:4] == [
            "token.update", "token.create", "limits.set", "user.create",
        ]  # fmt: skip
