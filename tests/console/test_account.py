"""One's own account."""

import pytest

from tests.conftest import PASSWORD
from tests.rooms import ALICE, Browser

NEW = "another horse battery staple"


def change(browser, **fields):
    form = {"current": PASSWORD, "new": NEW, "again": NEW} | fields
    return browser.submit("/account", form, action="/account/password")


def test_another_password(app, alice_there):
    assert change(alice_there).location == "/account"
    assert "Your password is changed." in alice_there.get("/account").text
    assert Browser(app).submit("/login", {"email": ALICE, "password": PASSWORD}).status == 200
    Browser(app).sign_in(ALICE, NEW)


@pytest.mark.acceptance("C-13")
def test_what_is_refused(alice_there):
    assert "This isn't your present password." in change(alice_there, current="wrong one").text
    assert "The two passwords differ." in change(alice_there, again="else").text
    assert "Use at least 8 characters." in change(alice_there, new="short", again="short").text
    weak = change(alice_there, new="password123", again="password123")
    assert "one of the first that attackers try" in weak.text


def test_guessing_the_present_password_is_throttled(alice_there):
    for _ in range(5):
        change(alice_there, current="wrong one")
    assert change(alice_there).status == 429


@pytest.mark.acceptance("C-5")
def test_other_browsers_are_listed_and_ended(app, alice_there):
    other = Browser(app).sign_in(ALICE)
    page = alice_there.get("/account")
    rows = page.soup.find("caption", string="Signed-in browsers").parent.tbody.find_all("tr")
    assert len(rows) == 2
    assert [("this one" in row.get_text()) for row in rows].count(True) == 1
    assert alice_there.press("/account", "/account/end-others").location == "/account"
    assert other.get("/account").location.startswith("/login")
    assert alice_there.get("/account").status == 200


def test_somebody_elses_browsers_are_not_shown(app, alice_there, people):
    Browser(app).sign_in("admin@example.com")
    rows = alice_there.get("/account").soup.find("caption", string="Signed-in browsers").parent.tbody.find_all("tr")
    assert len(rows) == 1


@pytest.mark.acceptance("C-5")
def test_each_browser_is_ended_by_itself(app, alice_there):
    one, two = Browser(app).sign_in(ALICE), Browser(app).sign_in(ALICE)
    page = alice_there.get("/account")
    ends = [form["action"] for form in page.soup.select("form[action^='/account/sign-ins/']")]
    assert len(ends) == 2, "not this one: signing out does that"
    assert alice_there.press("/account", ends[0]).location == "/account"
    assert "That browser is signed out." in alice_there.get("/account").text
    alive = [browser for browser in (one, two) if browser.get("/account").status == 200]
    assert len(alive) == 1
    assert alice_there.get("/account").status == 200
    alice_there.post(ends[0], {"csrf_token": alice_there.token()})
    assert "isn't signed in any more" in alice_there.get("/account").text


@pytest.mark.acceptance("C-5")
def test_nobody_ends_a_sign_in_of_somebody_else(app, alice_there, admin_there):
    Browser(app).sign_in("admin@example.com")
    (theirs,) = [f["action"] for f in admin_there.get("/account").soup.select("form[action^='/account/sign-ins/']")]
    alice_there.post(theirs, {"csrf_token": alice_there.token()})
    assert admin_there.get("/account").soup.select(f"form[action='{theirs}']")
