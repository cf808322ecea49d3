"""Users in the admin room."""

from urllib.parse import urlencode

import pytest

from app.admin.users import PAGE
from app.extensions import db
from app.models import User
from app.models.base import utcnow
from app.services import accounts
from tests.conftest import PASSWORD
from tests.console.test_usage import keep, models
from tests.rooms import ADMIN, ALICE, Browser, filled

FIRST = {"email": "Bob@Example.com", "name": "Bob", "password": PASSWORD}


def kept(app):
    with app.app_context():
        return {u.email: (u.id, u.name, u.role, u.disabled_at is not None) for u in accounts.list_users()}


def test_a_new_user_can_sign_in(app, admin_there):
    assert admin_there.submit("/admin/users/new", FIRST).location == "/admin/users"
    assert kept(app)["bob@example.com"][1:] == ("Bob", "user", False)
    assert Browser(app).sign_in("bob@example.com").get("/").status == 200


def test_mistakes_are_told(app, admin_there):
    before = kept(app)
    for fields, told in (
        ({"email": ALICE}, "Somebody has this e-mail address already."),
        ({"email": "nobody"}, "Enter an e-mail address"),
        ({"password": "password1"}, "one of the first that attackers try"),
        ({"role": "owner"}, "Not a valid choice."),
    ):
        page = admin_there.submit("/admin/users/new", FIRST | fields)
        assert told in page.text
        assert PASSWORD not in page.html
    assert kept(app) == before


def test_another_role_signs_out(app, admin_there, alice_there):
    number = kept(app)[ALICE][0]
    admin_there.submit(f"/admin/users/{number}/edit", {"name": "Alice A.", "role": "admin"})
    assert kept(app)[ALICE][1:] == ("Alice A.", "admin", False)
    assert alice_there.get("/").location == "/login"


def test_another_password_signs_out(app, admin_there, alice_there):
    number = kept(app)[ALICE][0]
    new = "yet another long password"
    page = admin_there.submit(f"/admin/users/{number}/password", {"password": new})
    assert page.location == f"/admin/users/{number}"
    assert alice_there.get("/").location == "/login"
    Browser(app).sign_in(ALICE, new)
    weak = {"password": "short"}
    page = admin_there.submit(f"/admin/users/{number}/password", weak)
    assert "Use at least 8 characters." in page.text


def test_locked_out_and_in_again(app, admin_there, alice_there):
    number = kept(app)[ALICE][0]
    admin_there.press("/admin/users", f"/admin/users/{number}/disable")
    assert alice_there.get("/").location == "/login"
    admin_there.press("/admin/users", f"/admin/users/{number}/enable")
    Browser(app).sign_in(ALICE)


@pytest.fixture
def crowd(app, people):
    """More people than a page has."""
    with app.app_context():
        db.session.add_all(
            User(email=f"p{n:03}@example.org", name=f"Person {n}", password_hash="x") for n in range(PAGE + 9)
        )
        db.session.commit()


def listed(page):
    return [row.th.get_text(strip=True) for row in page.soup.select("tbody tr")]


def test_people_are_looked_through_by_a_form_and_a_page_at_a_time(crowd, admin_there):
    page = admin_there.get("/admin/users")
    assert len(listed(page)) == PAGE
    rest = admin_there.get(page.soup.find("a", string=lambda text: text and "More users" in text)["href"])
    assert len(listed(rest)) == 11
    assert sorted(listed(page) + listed(rest)) == listed(page) + listed(rest), "by address, and nobody twice"
    assert "More users" not in rest.text
    form = filled(page.soup.select_one("form.filters"), {"words": "Person 1", "role": "user"})
    page = admin_there.get("/admin/users?" + urlencode(form))
    assert listed(page) == [f"p{n:03}@example.org" for n in (1, *range(10, 20))]
    kept = filled(page.soup.select_one("form.filters"), {})
    assert (kept["words"], kept["role"], kept["state"]) == ("Person 1", "user", "")
    assert page.soup.find("a", href="/admin/users", string="Show everything")
    assert listed(admin_there.get("/admin/users?role=admin")) == [ADMIN]
    nobody = admin_there.get("/admin/users?words=nobody")
    assert "Nobody fits this filter." in nobody.text
    assert "You are alone here" not in nobody.text + admin_there.get("/admin/users?role=admin").text
    assert admin_there.get("/admin/users?after=zzz&state=x&second_factor=x&role=x").status == 200


def test_who_is_locked_out_on_a_page_leads_back_to_it(app, crowd, admin_there):
    here = "/admin/users?after=p003%40example.org&words=Person+1&state=enabled"
    form = admin_there.get(here).soup.select_one("tbody form")
    page = admin_there.post(form["action"], filled(form, {}))
    assert page.location == here.replace("%40", "@")
    assert listed(admin_there.get("/admin/users?state=disabled")) == ["p010@example.org"]


def test_what_a_user_used_stands_on_the_users_page_and_leads_to_it(app, admin_there, furnished):
    keep(app, ALICE, 1, 2, at=utcnow().timestamp(), token_id=1)
    keep(app, ADMIN, 3, at=utcnow().timestamp())
    page = admin_there.get(f"/admin/users/{kept(app)[ALICE][0]}")
    today = page.soup.find("caption", string="Sums").parent.tbody.tr
    assert today.td.get_text(strip=True) == "2"
    for leads in (today.td.a["href"], page.soup.find("caption", string="Tokens").parent.tbody.th.a["href"]):
        listed = admin_there.get(leads)
        assert models(listed) == ["model-2", "model-1"]
        assert "token=" not in leads or listed.soup.find(id="by-token")["value"] == "1"


def test_the_last_administrator_stays(app, admin_there):
    number = kept(app)[ADMIN][0]
    admin_there.press("/admin/users", f"/admin/users/{number}/disable")
    assert "This is the last administrator" in admin_there.get("/admin/users").text
    page = admin_there.submit(f"/admin/users/{number}/edit", {"role": "user"})
    assert "This is the last administrator" in page.text
    assert page.soup.find(id="role")["aria-invalid"] == "true"
    assert kept(app)[ADMIN][2:] == ("admin", False)


def test_a_name_is_text(app, admin_there):
    nasty = "</a><script>alert(1)</script>"
    admin_there.submit("/admin/users/new", FIRST | {"name": nasty})
    page = admin_there.get("/admin/users")
    assert "<script>alert" not in page.html
    assert nasty in page.text
    bob = Browser(app).sign_in("bob@example.com")
    assert nasty in bob.get("/").text
