"""Links that administrators hand over, followed by those who get them."""

import re

from tests.conftest import PASSWORD
from tests.rooms import ALICE, Browser


def link_on(page):
    return re.search(r"https?://\S+?(/(?:join|reset)\?token=[\w-]+)", page.text)[1]


def test_an_invited_person_joins_and_is_signed_in(app, admin_there):
    link = link_on(admin_there.submit("/admin/users/invite", {"email": "new@example.com"}))
    new = Browser(app)
    page = new.submit(link, {"name": "New", "password": PASSWORD, "again": PASSWORD}, action="/join")
    assert page.location == "/"
    assert "new@example.com" not in new.get("/").title
    assert Browser(app).get(link).status == 404


def test_a_reset_link_leads_to_the_sign_in_page_with_the_new_password(app, admin_there):
    link = link_on(admin_there.submit("/admin/users/1/reset-link"))
    new = "another good password"
    Browser(app).submit(link, {"password": new, "again": new}, action="/reset")
    Browser(app).sign_in(ALICE, new)


def test_a_made_up_link_is_a_page_that_is_not_there(stranger):
    assert stranger.get("/join?token=x").status == stranger.get("/reset?token=x").status == 404


def test_a_user_is_signed_out_everywhere_and_a_token_revoked(app, admin_there, alice_there, furnished):
    admin_there.press("/admin/users/1", "/admin/users/1/sign-out")
    assert alice_there.get("/tokens").location.startswith("/login")
    link = admin_there.get("/admin/users/1").soup.main.find("a", string="Revoke")["href"]
    assert "can't be undone" in admin_there.get(link).text
    assert "active" in admin_there.get("/admin/users/1").text
    assert admin_there.get("/admin/users/2/tokens/1/revoke").status == 404
    admin_there.submit(link)
    assert "revoked" in admin_there.get("/admin/users/1").text
