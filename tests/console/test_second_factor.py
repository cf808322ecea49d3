"""The second factor, from the picture to the sign-in, as browsers meet it."""

import re
from datetime import timedelta

import pyotp
import pytest

from app.models import HalfSignIn, SecondFactor
from app.services import accounts, choices, second_factor
from tests.conftest import PASSWORD
from tests.rooms import ADMIN, ALICE, Browser, filled, later
from tests.web.test_access import OPEN, RULES, address, rules

ON, OFF, CODES = (f"/account/second-factor/{what}" for what in ("on", "off", "codes"))
WRONG = "not the password at all"


class Phone:
    """An authenticator that shows each code once."""

    def __init__(self, page):
        self.totp = pyotp.TOTP(page.soup.find("pre").get_text().replace(" ", ""))

    def show(self):
        return self.totp.now()


def set_up(browser):
    """Turn it on for who is signed in; return the authenticator and the recovery codes."""
    page = browser.get("/account/second-factor")
    phone = Phone(page)
    assert page.soup.find("img", class_="picture")["src"].startswith("data:image/svg+xml")
    form = {"once": page.soup.find(id="once")["value"], "code": phone.show(), "password": PASSWORD}
    answer = browser.post(ON, form | {"csrf_token": page.soup.find(id="csrf_token")["value"]})
    assert answer.location == "/account/recovery-codes"
    codes = browser.get(answer.location).soup.find("pre").get_text().split()
    assert browser.get(answer.location).location == "/account/second-factor", "shown once"
    return phone, codes


@pytest.fixture
def phone_and_codes(app, alice_there):
    phone, codes = set_up(alice_there)
    rested(app)
    return phone, codes


def rested(app):
    later(app, SecondFactor, last_step=2)


def turn_off(browser, password, code):
    form = filled(browser.get("/account/second-factor").form(CODES), {"password": password, "code": code})
    return browser.post(OFF, form)


def halfway(app, email=ALICE):
    browser = Browser(app)
    page = browser.submit("/login?next=/tokens", {"email": email, "password": PASSWORD})
    assert page.location == "/login/code?next=/tokens"
    return browser


def give(browser, code):
    return browser.submit("/login/code?next=/tokens", {"code": code})


@pytest.mark.acceptance("C-3")
def test_password_and_code_sign_in_under_a_new_session(app, phone_and_codes):
    phone, codes = phone_and_codes
    browser = halfway(app)
    half = browser.cookie().value
    assert give(browser, phone.show()).location == "/tokens"
    with browser.client.session_transaction() as session:
        assert set(session) == {"_permanent", "sign_in"}
    assert browser.get("/tokens").status == 200
    old = Browser(app)
    old.client.set_cookie("realms", half)
    assert old.get("/login/code").location.startswith("/login"), "the half sign-in is used up"
    other = halfway(app)
    assert "This code isn't right" in give(other, phone.show()).text, "a code counts once"
    assert give(other, codes[0]).location == "/tokens"


def test_half_a_sign_in_opens_nothing(app, phone_and_codes, furnished):
    browser = halfway(app)
    for rule in rules(app):
        if RULES[rule.rule] is not OPEN and "GET" in rule.methods:
            page = browser.get(address(rule))
            assert (page.status, page.location.split("?")[0]) == (302, "/login"), rule.rule
    token = browser.get("/login").soup.find(attrs={"name": "csrf_token"})["value"]
    for rule in rules(app):
        if RULES[rule.rule] is not OPEN and "POST" in rule.methods:
            page = browser.post(address(rule), {"csrf_token": token})
            assert (page.status, page.location.split("?")[0]) == (302, "/login"), rule.rule
    assert browser.get("/v1/models").status == 401


def test_half_a_sign_in_waits_ten_minutes_and_ends_when_somebody_is_locked_out(app, phone_and_codes):
    browser = halfway(app)
    later(app, HalfSignIn, created_at=timedelta(minutes=11))
    assert browser.get("/login/code?next=/x").location == "/login?next=/x"
    other = halfway(app)
    with app.app_context():
        accounts.set_disabled(accounts.by_email(ALICE).id, disabled=True, actor=None)
        accounts.set_disabled(accounts.by_email(ALICE).id, disabled=False, actor=None)
    assert other.get("/login/code").location == "/login"


def test_guessing_codes_makes_wait_and_the_right_password_does_not_end_the_waiting(app, phone_and_codes):
    phone, _codes = phone_and_codes
    for _ in range(5):
        browser = Browser(app, address="192.0.2.1")
        browser.submit("/login", {"email": ALICE, "password": PASSWORD})
        browser.submit("/login/code", {"code": "000000"})
    assert browser.submit("/login/code", {"code": phone.show()}).status == 429
    fresh = Browser(app, address="192.0.2.1")
    assert fresh.submit("/login", {"email": ALICE, "password": PASSWORD}).status == 429


def test_never_leads_elsewhere(app, phone_and_codes):
    phone, _codes = phone_and_codes
    browser = halfway(app)
    page = browser.submit("/login/code?next=//evil.example", {"code": phone.show()})
    assert page.location == "/"


def test_a_mistake_keeps_the_picture_and_turns_nothing_on(app, alice_there):
    first = alice_there.get("/account/second-factor")
    phone = Phone(first)
    fields = {"once": first.soup.find(id="once")["value"]}
    page = alice_there.submit("/account/second-factor", {"code": "000000", "password": PASSWORD} | fields, action=ON)
    assert "Is the clock of your device right?" in page.text
    assert Phone(page).totp.secret == phone.totp.secret
    assert PASSWORD not in page.html
    page = alice_there.submit("/account/second-factor", {"code": phone.show(), "password": WRONG} | fields, action=ON)
    assert "This isn't your password." in page.text
    for once in ("", "x", "gAAAA"):
        form = {"code": phone.show(), "password": PASSWORD, "once": once}
        assert alice_there.submit("/account/second-factor", form, action=ON).status == 200
    Browser(app).sign_in(ALICE)


def test_turning_it_off_takes_password_and_code_and_does_not_tell_which_was_wrong(app, alice_there, phone_and_codes):
    _phone, codes = phone_and_codes
    told = set()
    for password, code in ((WRONG, codes[0]), (PASSWORD, "000000"), (WRONG, "000000")):
        page = turn_off(alice_there, password, code)
        told.add((page.status, page.soup.main.find(class_="note").get_text().strip()))
    assert len(told) == 1
    page = turn_off(alice_there, PASSWORD, codes[0])
    assert page.location == "/account"
    Browser(app).sign_in(ALICE)


def test_new_recovery_codes(app, alice_there, phone_and_codes):
    phone, codes = phone_and_codes
    form = {"password": PASSWORD, "code": phone.show()}
    page = alice_there.submit("/account/second-factor", form, action=CODES)
    fresh = alice_there.get(page.location).soup.find("pre").get_text().split()
    browser = halfway(app)
    assert give(browser, codes[0]).status == 200
    assert give(browser, fresh[0]).location == "/tokens"
    assert "9 recovery codes are left" in browser.get("/account/second-factor").text


def test_turning_it_on_signs_this_browser_in_anew(app, alice_there):
    before = alice_there.cookie().value
    set_up(alice_there)
    old = Browser(app)
    old.client.set_cookie("realms", before)
    assert old.get("/account").location.startswith("/login")


def test_an_administrator_removes_one_after_the_password(app, admin_there, phone_and_codes):
    way = "/admin/users/1/second-factor/remove"
    assert "second factor" in admin_there.get("/admin/users").text
    assert "Remove" in admin_there.get(way).text
    assert admin_there.submit(way).location == "/admin/users/1"
    assert "Removed." in admin_there.get("/admin/users/1").text
    Browser(app).sign_in(ALICE)
    assert "user.second_factor_off" in admin_there.get("/admin/audit").text
    assert way not in admin_there.get("/admin/users/1").html
    assert admin_there.get("/admin/users/2/second-factor/remove").location == "/account/second-factor"


def test_administration_is_closed_to_administrators_without_one_where_it_is_asked_for(app, admin_there, alice_there):
    page = admin_there.submit("/admin/settings", {"admins_second_factor": "y"})
    assert page.location == "/admin/settings"
    assert admin_there.get("/admin/users").location == "/account/second-factor"
    assert (
        admin_there.post("/admin/users/1/disable", {"csrf_token": admin_there.token()}).location
        == "/account/second-factor"
    )
    assert "set yours up to go on" in admin_there.get("/account/second-factor").text
    assert alice_there.get("/admin/users").status == 404
    phone, _codes = set_up(admin_there)
    assert admin_there.get("/admin/users").status == 200
    rested(app)
    assert turn_off(admin_there, PASSWORD, phone.show()).location == "/account/second-factor"
    with app.app_context():
        assert second_factor.is_on(accounts.by_email(ADMIN).id)
        assert choices.present().admins_second_factor
    assert re.search(r"admins_second_factor", admin_there.get("/admin/audit").text)
