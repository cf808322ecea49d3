"""Credentials in the admin room."""

import pytest

from app.services import upstreams
from tests.rooms import UPSTREAM_KEY

AT = "/admin/upstreams/1/credentials"
OTHER = "sk-another-secret-9876543210-abcd"


def kept(app):
    with app.app_context():
        return {c.name: (c.last4, c.enabled) for c in upstreams.get(1).credentials}


def test_add_replace_and_delete(app, admin_there, furnished):
    admin_there.submit(f"{AT}/new", {"name": "third", "key": OTHER})
    assert kept(app)["third"] == ("abcd", True)
    admin_there.submit(f"{AT}/1/replace", {"key": OTHER})
    assert kept(app)["default"] == ("abcd", True)
    assert "can't be undone" in admin_there.get(f"{AT}/2/delete").text
    admin_there.submit(f"{AT}/2/delete")
    assert set(kept(app)) == {"default", "third"}
    assert OTHER not in admin_there.get("/admin/upstreams/1").html


def test_off_and_on(app, admin_there, furnished):
    admin_there.press("/admin/upstreams/1", f"{AT}/1/disable")
    assert kept(app)["default"][1] is False
    admin_there.press("/admin/upstreams/1", f"{AT}/1/enable")
    assert kept(app)["default"][1] is True


@pytest.mark.acceptance("D-8")
def test_mistakes_are_told_and_the_key_is_not_shown(admin_there, furnished):
    page = admin_there.submit(f"{AT}/1/replace", {"key": "has a space"})
    assert "A key has no spaces" in page.text
    assert "has a space" not in page.html
    assert "Please fill in this field." in admin_there.submit(f"{AT}/new", {"name": "", "key": OTHER}).text


def test_a_credential_belongs_to_its_upstream(app, admin_there, furnished):
    with app.app_context():
        upstreams.create(name="b", kind="openai", base_url="", key=UPSTREAM_KEY, priority=0, weight=1, actor=None)
    assert admin_there.get("/admin/upstreams/2/credentials/1/replace").status == 404
    assert admin_there.get(f"{AT}/99/delete").status == 404
