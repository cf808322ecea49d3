"""Forged state changes: another site's, or without our token."""

import pytest

from app.services import accounts, upstreams
from tests.rooms import ALICE
from tests.web.test_access import address, rules


def posts(app):
    return [address(rule) for rule in rules(app) if "POST" in rule.methods and rule.endpoint != "console.setup"]


def state(app):
    with app.app_context():
        users = [(u.email, u.role, u.name, u.locale, u.disabled_at, u.password_hash) for u in accounts.list_users()]
        return users, [(u.name, u.enabled, len(u.credentials)) for u in upstreams.list_all()]


@pytest.mark.acceptance("C-1")
def test_without_the_token_nothing_changes(app, admin_there, furnished):
    before = state(app)
    for path in posts(app):
        assert admin_there.post(path, {"name": "x", "password": "y" * 12}).status == 400, path
        assert admin_there.post(path, {"csrf_token": "made-up"}).status == 400, path
    assert state(app) == before
    assert admin_there.get("/").status == 200, "still signed in"


@pytest.mark.acceptance("C-1")
def test_another_sessions_token_is_worth_nothing(app, admin_there, alice_there):
    assert admin_there.post("/logout", {"csrf_token": alice_there.token()}).status == 400


@pytest.mark.acceptance("C-1")
@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site"])
def test_another_site_is_refused_even_with_the_token(app, admin_there, furnished, site):
    before = state(app)
    form = {"csrf_token": admin_there.token()}
    for path in posts(app):
        assert admin_there.post(path, form, headers={"Sec-Fetch-Site": site}).status == 403, path
    assert state(app) == before


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_our_own_pages_are_not(alice_there, site):
    assert (
        alice_there.submit(
            "/account", {"locale": "en"}, action="/account/language", headers={"Sec-Fetch-Site": site}
        ).status
        == 302
    )


@pytest.mark.acceptance("K-6")
def test_a_giant_form_is_refused(alice_there):
    form = {"csrf_token": alice_there.token(), "name": "x" * 300_000}
    page = alice_there.post("/tokens/new", form)
    assert page.status == 413
    assert page.soup.h1.get_text() == "That was too much at once"


def test_machines_need_no_form_token(stranger):
    for path in ("/v1/responses", "/responses", "/chat/completions"):
        page = stranger.post(path, headers={"Sec-Fetch-Site": "cross-site"})
        assert page.status == 401, path
        assert page.response.is_json


def test_a_page_of_an_expired_form_says_so(alice_there):
    assert "no longer valid" in alice_there.post("/account/language", {"locale": "en"}).text


def test_alice_is_alice(app, alice_there):
    """The forms above reach services at all: with the token they do change something."""
    alice_there.submit("/account", {"locale": "zh_Hans"}, action="/account/language")
    with app.app_context():
        assert accounts.by_email(ALICE).locale == "zh_Hans"


@pytest.mark.any_database
@pytest.mark.parametrize(
    "address",
    [
        "/usage?model=%00",
        "/usage?after=1800000000000000-%00",
        "/usage?id=a%00",
        "/usage/a%00",
        "/usage/requests.csv?reason=%00",
        "/admin/requests?conversation=a%00",
        "/admin/users?after=%00",
        "/admin/audit?actor=%00abc",
        "/admin/objects?object_id=%00",
    ],
)
def test_an_address_with_what_a_text_never_has_is_refused_on_every_database(admin_there, address):
    page = admin_there.get(address)
    assert page.status == 400
    assert page.soup.h1.get_text() == "That request can't be read"


def test_a_stranger_learns_nothing_by_it(stranger):
    assert stranger.get("/admin/users?after=%00").location.startswith("/login")
