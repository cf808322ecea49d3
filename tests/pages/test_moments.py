"""Pages that are there at their moment alone: links, secrets, second factors; and what a new user finds."""

import re

import pyotp
import pytest

from app.extensions import db
from app.services import accounts, links
from tests import live
from tests.pages.looking import look

PATIENT = 10_000


@pytest.fixture
def newcomer(house):
    """Return a link for somebody new to join by, and a way to have one to another password."""

    def joining(email):
        with house.app.app_context():
            link = links.invite(email=email, role="user", actor=accounts.by_email("admin@example.com"))
            db.session.remove()
        return house.url + re.search(r"/join.*", link)[0]

    def resetting(email):
        with house.app.app_context():
            admin = accounts.by_email("admin@example.com")
            link = links.to_reset(accounts.by_email(email).id, actor=admin)
            db.session.remove()
        return house.url + re.search(r"/reset.*", link)[0]

    return joining, resetting


@pytest.mark.acceptance("C-6", "C-17")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_somebody_new_meets_is_quiet_accessible_and_fits(browser, house, newcomer, language):
    joining, resetting = newcomer
    email, wrong = f"new-{language.lower()}@example.com", []
    with look(browser, language=language) as seen:
        page = seen.page

        def send(**fields):
            for name, value in fields.items():
                page.fill(f"main [name={name}]", value)
            with page.expect_navigation(timeout=PATIENT):
                page.locator("main form:has([name=csrf_token]) [type=submit]").first.click()

        def see(name, path=""):
            if path:
                page.goto(house.url + path)
            wrong.extend(seen.wrong(name, len(wrong) + len(name)))

        page.goto(joining(email))
        see("/join")
        send(name="New", password=live.PASSWORD, again=live.PASSWORD)
        for path in ("/", "/tokens", "/usage", "/usage/conversations", "/usage/live", "/account"):
            see(f"{path} of somebody new", path)
        page.goto(f"{house.url}/tokens/new")
        send(name="laptop")
        see("a new token's secret")
        see("/account/second-factor to be", "/account/second-factor")
        phone = pyotp.TOTP(page.locator("main pre").inner_text().replace(" ", ""))
        send(code=phone.now(), password=live.PASSWORD)
        see("/account/recovery-codes")
        code = page.locator("main pre").inner_text().split()[0]
        see("/account/second-factor that is on", "/account/second-factor")
        page.locator("nav form[action='/logout'] button").click()
        page.goto(f"{house.url}/login")
        send(email=email, password=live.PASSWORD)
        see("/login/code")
        send(code=code)
        assert page.url == f"{house.url}/"
        page.locator("nav form[action='/logout'] button").click()
        page.goto(resetting(email))
        see("/reset")
    assert not wrong, "\n".join(wrong)


def test_the_browsers_time_zone_is_proposed_and_taken_by_a_click(browser, house, cookie_of):
    with look(browser, cookie=cookie_of("bob"), zone="Asia/Tokyo") as seen:
        page = seen.page
        page.goto(f"{house.url}/account")
        assert page.input_value("#time_zone") == "UTC", "never taken unasked"
        page.get_by_role("button", name="Asia/Tokyo").click()
        assert page.input_value("#time_zone") == "Asia/Tokyo"
        page.click("form[action='/account/time-zone'] [type=submit]")
        page.get_by_text("Times are told in Asia/Tokyo now.").wait_for(timeout=PATIENT)
        assert not page.get_by_role("button", name="Asia/Tokyo").is_visible()
        assert seen.told() == []
    with look(browser, cookie=cookie_of("bob"), script=False) as plain:
        plain.page.goto(f"{house.url}/account")
        assert not plain.page.locator("[data-browsers-zone]").is_visible()
        plain.page.select_option("#time_zone", "UTC")
        plain.page.click("form[action='/account/time-zone'] [type=submit]")
        plain.page.get_by_text("Times are told in UTC now.").wait_for(timeout=PATIENT)


@pytest.mark.acceptance("D-4")
def test_a_test_is_seen_step_by_step_without_a_script(browser, house, provider, cookie_of):
    """While the provider holds its answer back, the steps before it are on the page already."""
    provider.control("POST", "faults", {"fault": "hang_headers", "path": "/v1/models", "times": 1})
    with look(browser, cookie=cookie_of("admin"), script=False) as seen:
        page = seen.page
        page.goto(f"{house.url}/admin/upstreams/1")
        page.click("main .head form button >> nth=0", no_wait_after=True)
        page.locator(".guide .done").nth(2).wait_for(timeout=PATIENT)  # address, connection, certificate
        page.locator(".guide .begun:visible").wait_for(timeout=PATIENT)
        assert page.locator(".guide .done").count() == 3
        page.locator(".guide .badge.bad").wait_for(timeout=3 * PATIENT)
        assert page.locator(".guide .begun:visible").count() == 0
        assert "no answer in time" in page.inner_text(".guide")
