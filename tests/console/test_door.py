"""In and out."""

from datetime import timedelta
from statistics import median
from time import process_time

import pytest
from argon2 import PasswordHasher
from pydantic import SecretStr

from app import create_app
from app.models import SignIn
from app.services import accounts, passwords, setup, sign_ins
from tests.conftest import PASSWORD
from tests.rooms import ALICE, Browser, later

WRONG = "not the password at all"


def link(app):
    with app.app_context():
        return setup.link().removeprefix("http://127.0.0.1:8080")


FIRST = {"email": "Ada@Example.com", "name": "Ada", "password": PASSWORD, "again": PASSWORD}


class TestSetUp:
    @pytest.mark.acceptance("M-1")
    def test_makes_the_first_administrator_signs_in_and_is_gone(self, app):
        browser = Browser(app)
        way_in = link(app)
        page = browser.submit(way_in, FIRST, action="/setup")
        assert page.location == "/"
        home = browser.get("/")
        assert "Add an upstream" in home.text
        assert home.soup.find("li", class_="now").a["href"] == "/admin/upstreams/new"
        assert browser.get(way_in).status == 404
        assert Browser(app).get(way_in).status == 404
        with app.app_context():
            assert accounts.by_email("ada@example.com").role == "admin"

    def test_needs_the_right_token(self, app):
        browser = Browser(app)
        for path in ("/setup", "/setup?token=", "/setup?token=wrong", link(app) + "x"):
            assert browser.get(path).status == 404
        form = FIRST | {"token": "wrong", "csrf_token": browser.token()}
        assert browser.post("/setup", form).status == 404
        with app.app_context():
            assert accounts.list_users() == []

    def test_tells_what_is_wrong_and_keeps_what_was_typed(self, app):
        browser = Browser(app)
        page = browser.submit(link(app), FIRST | {"again": "another one"}, action="/setup")
        assert "The two passwords differ." in page.text
        page = browser.submit(link(app), FIRST | {"password": "short", "again": "short"}, action="/setup")
        assert "Use at least 8 characters." in page.text
        assert page.soup.find(id="email")["value"] == "Ada@Example.com"
        assert "short" not in page.html
        assert page.soup.find(id="password")["aria-invalid"] == "true"
        assert page.soup.find(id=page.soup.find(id="password")["aria-describedby"])

    def test_the_sign_in_page_says_where_the_link_is(self, app):
        assert "Open the set-up link" in Browser(app).get("/login").text


class TestSignIn:
    @pytest.mark.acceptance("C-12")
    def test_unknown_wrong_and_disabled_look_alike(self, app, stranger):
        with app.app_context():
            accounts.create_user(email="gone@example.com", password=PASSWORD, actor=None)
            accounts.set_disabled(accounts.by_email("gone@example.com").id, disabled=True, actor=None)
        seen = set()
        for email, password in (("nobody@example.com", PASSWORD), (ALICE, WRONG), ("gone@example.com", PASSWORD)):
            page = stranger.submit("/login", {"email": email, "password": password})
            seen.add((page.status, page.soup.find(class_="note").get_text().strip(), page.location))
        assert seen == {(200, "This e-mail address and password don't go together.", None)}

    @pytest.mark.acceptance("C-12")
    def test_a_try_costs_the_same_whoever_is_named(self, app, people, monkeypatch):
        """Costs are compared, not times: this process' share of a busy machine changes by the second."""
        monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=2, memory_cost=32 * 1024, parallelism=1))
        passwords._nobodys_hash.cache_clear()
        with app.app_context():
            accounts.reset_password(accounts.by_email(ALICE).id, password=PASSWORD, actor=None)
            spent = {ALICE: [], "nobody@example.com": [], "no address": []}
            for _ in range(9):
                for email, costs in spent.items():
                    began = process_time()
                    assert accounts.authenticate(email, WRONG) is None
                    costs.append(process_time() - began)
        known, *others = (median(costs[1:]) for costs in spent.values())
        assert all(0.9 < other / known < 1.1 for other in others), spent

    @pytest.mark.acceptance("C-3")
    def test_the_session_changes_and_holds_no_more_than_the_sign_in(self, stranger):
        stranger.get("/login")
        before = stranger.cookie().value
        stranger.sign_in(ALICE)
        assert stranger.cookie().value != before
        with stranger.client.session_transaction() as session:
            assert set(session) == {"_permanent", "sign_in"}

    @pytest.mark.acceptance("C-3")
    def test_signing_in_again_ends_the_sign_in_before(self, app, alice_there):
        old = alice_there.cookie().value
        alice_there.client.delete_cookie("realms")
        fixed = Browser(app)
        fixed.client.set_cookie("realms", old)
        fixed.get("/account")
        fixed.submit("/confirm", {"password": PASSWORD})
        assert fixed.get("/account").status == 200
        fixed.client.set_cookie("realms", old)
        assert fixed.get("/account").location.startswith("/login"), "the old secret is worth nothing"

    @pytest.mark.acceptance("K-5")
    def test_growing_waits_answer_429_and_do_not_even_try(self, stranger):
        for _ in range(5):
            assert stranger.submit("/login", {"email": ALICE, "password": WRONG}).status == 200
        page = stranger.submit("/login", {"email": ALICE, "password": PASSWORD})
        assert page.status == 429
        assert "Too many tries." in page.text
        assert stranger.get("/").location == "/login"

    def test_who_is_in_needs_no_sign_in_page(self, alice_there):
        assert alice_there.get("/login?next=/tokens").location == "/tokens"


class TestSignOut:
    @pytest.mark.acceptance("C-2")
    def test_ends_the_sign_in_at_the_server(self, app, alice_there):
        old = alice_there.cookie().value
        assert alice_there.get("/logout").status == 405
        assert alice_there.get("/").status == 200
        assert alice_there.press("/", "/logout").location == "/login"
        alice_there.client.set_cookie("realms", old)
        assert alice_there.get("/").location == "/login"
        with app.app_context():
            assert sign_ins.list_for(accounts.by_email(ALICE)) == []

    @pytest.mark.acceptance("C-3")
    def test_an_unknown_secret_under_the_right_signature_is_nobody(self, app, stranger):
        with stranger.client.session_transaction() as session:
            session["sign_in"] = "no such secret"
        assert stranger.get("/").location == "/login"
        for value in (7, None, ["x"]):
            with stranger.client.session_transaction() as session:
                session["sign_in"] = value
            assert stranger.get("/").location == "/login"

    def test_disabling_somebody_signs_them_out(self, app, alice_there):
        with app.app_context():
            accounts.set_disabled(accounts.by_email(ALICE).id, disabled=True, actor=None)
        assert alice_there.get("/tokens").location == "/login?next=/tokens"


class TestConfirm:
    @pytest.mark.acceptance("C-14")
    def test_sensitive_pages_ask_for_the_password_after_a_quarter_of_an_hour(self, app, admin_there):
        assert admin_there.get("/admin/upstreams/new").status == 200
        later(app, SignIn, confirmed_at=timedelta(minutes=15))
        for path in ("/admin", "/admin/upstreams", "/admin/models", "/admin/users", "/tokens/new"):
            assert admin_there.get(path).status == 200, "reading and own tokens need nothing"
        assert admin_there.get("/admin/users/new").location == "/confirm?next=/admin/users/new"
        answer = admin_there.submit("/confirm?next=/admin/users/new", {"password": PASSWORD})
        assert answer.location == "/admin/users/new"
        assert admin_there.get("/admin/users/new").status == 200

    @pytest.mark.acceptance("C-14")
    def test_a_stale_post_changes_nothing(self, app, admin_there):
        form = {"email": "eve@example.com", "password": PASSWORD, "role": "admin", "csrf_token": admin_there.token()}
        later(app, SignIn, confirmed_at=timedelta(minutes=16))
        assert admin_there.post("/admin/users/new", form).location == "/confirm?next=/admin/users/new"
        with app.app_context():
            assert accounts.by_email("eve@example.com") is None

    def test_a_wrong_password_is_told_and_counted(self, alice_there):
        for _ in range(5):
            assert "This isn't your password." in alice_there.submit("/confirm", {"password": WRONG}).text
        assert alice_there.submit("/confirm", {"password": PASSWORD}).status == 429

    @pytest.mark.acceptance("C-8")
    def test_never_leads_elsewhere(self, alice_there):
        assert alice_there.submit("/confirm?next=//evil.example", {"password": PASSWORD}).location == "/"


@pytest.mark.acceptance("J-4")
def test_another_secret_key_signs_nobody_out_while_the_old_one_is_named(app, settings, alice_there):
    old, new = settings.secret_key.get_secret_value(), "another-key-for-tests-that-is-long-enough"
    before = alice_there.cookie().value

    def with_keys(*keys):
        made = create_app(settings.model_copy(update={"secret_key": SecretStr(",".join(keys))}))
        browser = Browser(made)
        browser.client.set_cookie("realms", before)
        return browser

    assert with_keys(new).get("/tokens").location.startswith("/login")
    both = with_keys(new, old)
    assert both.get("/tokens").status == 200
    changed = {"current": PASSWORD, "new": "another good password", "again": "another good password"}
    assert both.submit("/account", changed, action="/account/password").location == "/account"
    rewritten = both.cookie().value
    assert rewritten != before
    newest = with_keys(new)
    newest.client.set_cookie("realms", rewritten)
    assert newest.get("/tokens").status == 200, "what is signed now is signed by the newest key"
