"""Announcements and settings, from the form to where they show."""

import pytest

from tests.conftest import SECRET_KEY
from tests.rooms import Browser


def test_an_announcement_reaches_everybody_and_can_be_put_away(app, admin_there, alice_there):
    admin_there.submit("/admin/announcements", {"text": "<b>Maintenance</b> at noon"})
    assert "<b>Maintenance</b> at noon" in alice_there.get("/").text
    alice_there.press("/", "/announcements/1/read")
    assert "Maintenance" not in alice_there.get("/").text
    admin_there.submit("/admin/announcements/1/delete")
    assert "Maintenance" not in admin_there.get("/").text


@pytest.mark.acceptance("D-8")
def test_settings_are_kept_and_secrets_of_the_environment_never_shown(app, admin_there):
    page = admin_there.submit("/admin/settings", {"token_days": "30", "contact": "ask Bob"})
    assert page.status == 302
    page = admin_there.get("/admin/settings")
    assert page.soup.find(id="token_days")["value"] == "30"
    assert SECRET_KEY not in page.html
    assert "REALMS_SECRET_KEY" in page.text
    assert "Help: ask Bob" in Browser(app).get("/login").text
