"""ChatGPT accounts in the admin room, at the simulated provider."""

import json

import httpx2
import pytest

from app.extensions import db
from app.models import CodexSignIn
from app.services import accounts, codex_connect, policies, upstreams
from app.services.context import context
from tests import live
from tests.conftest import PASSWORD
from tests.proxying import proxy as running
from tests.rooms import ADMIN, Browser, later

AT = "/admin/upstreams/1"


@pytest.fixture(scope="module")
def sim():
    with live.open_provider() as running:
        yield running


@pytest.fixture
def settings(settings, sim):
    return settings.model_copy(update={"codex_login_url": sim.url})


@pytest.fixture
def app(app):
    """The application; its connections to the provider end with the test."""
    yield app
    app.extensions["realms"].egress.session.close()


@pytest.fixture
def room(admin_there, sim):
    base = f"{sim.url}/backend-api/codex"
    page = admin_there.submit("/admin/upstreams/new", {"name": "codex", "kind": "codex_oauth", "base_url": base})
    assert page.location == f"{AT}/accounts/connect"
    return admin_there


def begin(browser):
    """Begin a sign-in; return the page, and where a browser that signs in as somebody would end."""
    page = browser.press(f"{AT}/accounts/connect", f"{AT}/accounts/sign-in")
    url = page.soup.find("a", attrs={"target": "_blank"})["href"]
    return page, httpx2.get(f"{url}&login_hint=who@example.com").headers["location"]


def finish(browser, page, pasted):
    form = page.form(f"{AT}/accounts/finish")
    fields = {"csrf_token": form.find(attrs={"name": "csrf_token"})["value"], "pasted": pasted}
    return browser.post(f"{AT}/accounts/finish", fields)


def connected(app):
    with app.app_context():
        return [(each.email, each.state.value, each.enabled) for each in codex_connect.accounts(1)]


def test_signing_in_with_what_is_pasted_back(app, room, sim):
    page, ended_at = begin(room)
    assert finish(room, page, ended_at).location == AT
    assert connected(app) == [("who@example.com", "connected", True)]
    assert "who@example.com" in room.get(AT).text
    assert "not yours" in finish(room, page, ended_at).text, "used once"


def test_a_second_sign_in_updates_the_account(app, room):
    for _ in range(2):
        page, ended_at = begin(room)
        finish(room, page, ended_at)
    assert len(connected(app)) == 1


@pytest.mark.acceptance("E-11")
def test_a_sign_in_is_its_beginners_alone(app, room):
    with app.app_context():
        accounts.create_user(email="other@example.com", password=PASSWORD, role="admin", actor=None)
    page, ended_at = begin(room)
    other = Browser(app).sign_in("other@example.com")
    others_page, _ = begin(other)
    assert "not yours" in finish(other, others_page, ended_at).text
    assert finish(room, page, ended_at).location == AT


def test_a_sign_in_lasts_half_an_hour(app, room):
    page, ended_at = begin(room)
    later(app, CodexSignIn, created_at=codex_connect.PENDING_FOR)
    assert "half an hour" in finish(room, page, ended_at).text
    assert connected(app) == []


def test_what_the_provider_refuses_is_told(room):
    page, ended_at = begin(room)
    assert "refuses this sign-in (400)" in finish(room, page, ended_at.replace("code=", "code=x")).text
    page, _ = begin(room)
    assert "Paste the whole address" in finish(room, page, "http://localhost:1455/").text


@pytest.mark.acceptance("D-8")
def test_an_auth_json_is_imported_and_never_shown(app, room, sim):
    tokens = sim.control("POST", "codex", {"email": "file@example.com"})
    path = f"{AT}/accounts/import"
    text = json.dumps({"tokens": tokens})
    assert room.submit(f"{AT}/accounts/connect", {"auth_json": text}, action=path).location == AT
    html = room.get(AT).html
    assert tokens["access_token"] not in html
    assert tokens["account_id"] not in html
    assert connected(app) == [("file@example.com", "connected", True)]
    wrong = room.submit(f"{AT}/accounts/connect", {"auth_json": '{"access_token":"at-secret"}'}, action=path)
    assert "This is no auth.json" in wrong.text


def test_the_allowance_is_asked_for_and_shown(app, room, sim):
    tokens = sim.control(
        "POST", "codex", {"email": "q@example.com", "quota": {"primary_used": 61.0, "credits_left": "12.50"}}
    )
    with app.app_context():
        codex_connect.connect(1, codex_connect.read_file(json.dumps(tokens)), actor=None)
        number = codex_connect.accounts(1)[0].credential_id
    room.press(AT, f"{AT}/accounts/{number}/allowance")
    shown = room.get(AT).text
    assert "5 hours: 61 %, resets" in shown
    assert "Credits: 12.50" in shown
    assert room.post(f"{AT}/accounts/99/allowance", {"csrf_token": room.token()}).location == AT
    assert "no such credential" in room.get(AT).text


@pytest.mark.acceptance("E-5")
def test_signing_in_and_asking_for_the_allowance_lead_through_the_proxy_or_nowhere(app, room, sim, tmp_path):
    with running(tmp_path, "http", login="user:geheim") as proxy:
        with app.app_context():
            policies.set_proxy(1, proxy.address, actor=None, proxy_login="user:geheim")
        finish(room, *begin(room))
        with app.app_context():
            number = codex_connect.accounts(1)[0].credential_id
        room.press(AT, f"{AT}/accounts/{number}/allowance")
        assert "5 hours: " in room.get(AT).text
        asked = [first.split(" HTTP")[0] for first in proxy.said()]
        assert asked == ["POST /oauth/token", "GET /backend-api/wham/usage"]
    ending, reached = begin(room), sim.count()
    assert "can't be reached: the proxy" in finish(room, *ending).text
    room.press(AT, f"{AT}/accounts/{number}/allowance")
    assert "can't be read: the proxy" in room.get(AT).text
    assert sim.count() == reached


def test_who_needs_to_reconnect_is_shown_where_to(app, room, sim):
    tokens = sim.control("POST", "codex", {"email": "lost@example.com"})
    with app.app_context():
        codex_connect.connect(1, codex_connect.read_file(json.dumps(tokens)), actor=None)
        db.session.execute(db.text("UPDATE codex_accounts SET state = 'lost'"))
        db.session.execute(db.text("UPDATE credentials SET enabled = 0"))
        db.session.commit()
    page = room.get(AT)
    assert page.soup.find("a", string="Reconnect")["href"] == f"{AT}/accounts/connect"


def test_there_are_no_keys_and_another_address_needs_new_sign_ins(app, room, sim):
    tokens = sim.control("POST", "codex", {"email": "moved@example.com"})
    with app.app_context():
        codex_connect.connect(1, codex_connect.read_file(json.dumps(tokens)), actor=None)
    assert "has no keys" in room.submit(f"{AT}/credentials/new", {"name": "n", "key": "sk-1"}).text
    room.submit(f"{AT}/edit", {"base_url": "https://elsewhere.example/codex"})
    assert connected(app) == [("moved@example.com", "connected", False)]


def test_other_kinds_have_no_accounts(app, admin_there):
    with app.app_context():
        upstreams.create(name="o", kind="openai", base_url="", key=None, priority=0, weight=1, actor=None)
    assert admin_there.get(f"{AT}/accounts/connect").status == 404


@pytest.mark.acceptance("E-11")
def test_the_verifier_is_sealed(app, room):
    begin(room)
    with app.app_context():
        row = db.session.scalars(db.select(CodexSignIn)).first()
        assert len(context().vault.open(row.verifier, origin=context().settings.codex_login_url)) > 43
        assert row.user_id == accounts.by_email(ADMIN).id
