"""Links by mail: to another password, to an account, and what nobody learns by asking for them."""

import re
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import event

from app import create_app
from app.extensions import db
from app.services import accounts, choices, links
from app.services.choices import Choices
from tests.conftest import PASSWORD
from tests.post_office import open_post_office
from tests.rooms import ADMIN, ALICE, Browser, filled

NEW = "another good password"
PUBLIC = "http://realms.example.com"
OPEN = Choices(registration="open", mail_domains="example.com")


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with open_post_office(tmp_path_factory.mktemp("post") / "box") as running:
        yield running


@pytest.fixture
def app(settings, office):
    """The application with a mail server, under a name of its own."""
    mine = {"smtp_url": SecretStr(f"smtp+plain://127.0.0.1:{office.port}"), "mail_from": "realms@example.com"}
    app = create_app(settings.model_copy(update=mine | {"public_url": PUBLIC}))
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def arrived(app, office):
    """Return what arrives from here on, once what waits is sent."""
    before = len(office.letters())

    def letters():
        app.extensions["realms"].mail.deliver()
        return office.letters()[before:]

    return letters


def link_in(letter):
    return re.search(rf"{re.escape(PUBLIC)}(/\S+)", letter.get_content())[1]


def choose(app, chosen):
    with app.app_context():
        choices.choose(chosen, actor=accounts.by_email(ADMIN))


def ask(browser, path, email, **kwargs):
    return browser.submit(path, {"email": email}, **kwargs)


def test_another_password_by_mail(app, stranger, alice_there, arrived):
    assert stranger.get("/login").soup.find("a", href="/forgot")
    ask(stranger, "/forgot", "Alice@Example.com ")
    (letter,) = arrived()
    assert letter["To"] == ALICE
    way = link_in(letter)
    assert stranger.submit(way, {"password": NEW, "again": NEW}, action="/reset").location == "/login"
    assert alice_there.get("/account").location.startswith("/login"), "signed out everywhere"
    Browser(app).sign_in(ALICE, NEW)
    assert stranger.get(way).status == 404, "once"


@pytest.mark.acceptance("C-12")
def test_who_has_an_account_is_told_to_nobody(app, stranger, arrived):
    with app.app_context():
        accounts.create_user(email="gone@example.com", password=PASSWORD, actor=None)
        accounts.set_disabled(accounts.by_email("gone@example.com").id, disabled=True, actor=None)
    choose(app, OPEN)
    for path in ("/forgot", "/register"):
        seen = set()
        for n, email in enumerate((ALICE, "gone@example.com", "nobody@example.com")):
            page = ask(Browser(app, address=f"192.0.{n}.1"), path, email)
            seen.add((page.status, page.soup.main.get_text(), page.headers.get("Set-Cookie") is None))
        assert len(seen) == 1, path
    assert [letter["To"] for letter in arrived()] == [ALICE, ALICE, "gone@example.com", "nobody@example.com"]


def steps_of(app, browser, path, email):
    """Every call of our own code and every statement to the database while somebody asks for a mail to ``email``."""
    form, taken = filled(browser.get(path).form(path), {"email": email}), []
    ours = str(Path(sys.modules["app"].__file__).parent)

    def called(frame, what, _argument):
        if what == "call" and frame.f_code.co_filename.startswith(ours):
            taken.append(frame.f_code.co_qualname)

    def asked(_connection, _cursor, statement, *_more):
        taken.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", asked)
    sys.setprofile(called)
    try:
        assert browser.post(path, form).status == 200
    finally:
        sys.setprofile(None)
        event.remove(engine, "before_cursor_execute", asked)
    return taken


@pytest.mark.acceptance("C-12")
@pytest.mark.parametrize("path", ["/forgot", "/register"])
def test_asking_for_a_mail_takes_the_same_steps_whoever_is_named(app, stranger, arrived, path):
    """What differs happens when nobody waits for it any more: no measure of time can tell more than its steps."""
    with app.app_context():
        accounts.create_user(email="gone@example.com", password=PASSWORD, actor=None)
        accounts.set_disabled(accounts.by_email("gone@example.com").id, disabled=True, actor=None)
    choose(app, OPEN)
    names = ("first@example.com", ALICE, "gone@example.com", "nobody@example.com")
    _warm, *taken = [steps_of(app, Browser(app, address=f"192.0.{n}.1"), path, email) for n, email in enumerate(names)]
    assert len(taken[0]) > 50
    assert not any("FROM users" in step for step in taken[0])
    assert taken[0] == taken[1] == taken[2]
    assert ALICE in {letter["To"] for letter in arrived()}, "and yet it was written to"


def test_the_host_that_a_request_names_gets_into_no_link(app, stranger, arrived):
    form = filled(stranger.get("/forgot").form("/forgot"), {"email": ALICE})
    sent = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Cookie": f"realms={stranger.cookie().value}"}
    client = app.test_client(use_cookies=False)  # a jar would keep the cookie from another host
    assert client.post("/forgot", data=form, headers=sent).status_code == 200
    (letter,) = arrived()
    assert "evil" not in letter.as_string()
    assert link_in(letter).startswith("/reset?token=")


def test_nobodys_box_is_flooded(app, stranger, arrived):
    statuses = [ask(Browser(app, address=f"192.0.{n}.1"), "/forgot", ALICE).status for n in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    statuses = [ask(stranger, "/forgot", f"u{n}@example.com").status for n in range(7)]
    assert statuses == [200] * 5 + [429] * 2
    assert len(arrived()) == 5


def test_asking_by_mail_takes_no_link_away_that_was_handed_over(app, stranger, admin_there, arrived):
    with app.app_context():
        handed = links.to_reset(accounts.by_email(ALICE).id, actor=None).removeprefix(PUBLIC)
    ask(stranger, "/forgot", ALICE)
    ask(stranger, "/forgot", ALICE)
    first, second = map(link_in, arrived())
    assert [stranger.get(way).status for way in (handed, first, second)] == [200, 404, 200]
    stranger.submit(second, {"password": NEW, "again": NEW}, action="/reset")
    assert stranger.get(handed).status == 404, "all of them are gone with the first that is used"


def test_an_account_by_mail(app, stranger, arrived):
    choose(app, OPEN)
    assert stranger.get("/login").soup.find("a", href="/register")
    ask(stranger, "/register", "New@Example.com")
    (letter,) = arrived()
    way = link_in(letter)
    form = {"name": "New", "password": PASSWORD, "again": PASSWORD}
    assert stranger.submit(way, form, action="/join").location == "/"
    with app.app_context():
        assert accounts.by_email("new@example.com").role == "user"
    assert Browser(app).get(way).status == 404


def test_who_has_an_account_already_is_told_so_by_mail(app, stranger, arrived):
    choose(app, OPEN)
    ask(stranger, "/register", ALICE)
    (letter,) = arrived()
    assert "has one already" in letter.get_content()
    assert link_in(letter) == "/login"


@pytest.mark.parametrize(
    "email", ["eve@elsewhere.example", "eve@example.com.evil.example", "eve@notexample.com", "eve"]
)
def test_addresses_of_other_domains_are_refused(app, stranger, arrived, email):
    choose(app, OPEN)
    assert ask(stranger, "/register", email).soup.find(attrs={"aria-invalid": "true"})
    assert arrived() == []


def test_who_registers_takes_no_invitation_away_and_gets_no_role_of_one(app, stranger, admin_there, arrived):
    choose(app, OPEN)
    page = admin_there.submit("/admin/users/invite", {"email": "boss@example.com", "role": "admin"})
    assert "on its way by mail" in page.text
    ask(stranger, "/register", "boss@example.com")
    invited, registering = map(link_in, arrived())
    assert stranger.get(invited).status == 200
    form = {"password": PASSWORD, "again": PASSWORD, "role": "admin"}
    hidden = stranger.get(registering).form("/join")
    data = {each["name"]: each.get("value", "") for each in hidden.find_all("input")} | form
    assert stranger.post("/join", data).location == "/"
    with app.app_context():
        assert accounts.by_email("boss@example.com").role == "user"
    assert Browser(app).get(invited).status == 404


def test_who_may_join_is_settled_when_the_link_is_used(app, stranger, admin_there, arrived):
    choose(app, OPEN)
    ask(stranger, "/register", "new@example.com")
    admin_there.submit("/admin/users/invite", {"email": "other@example.com"})
    registering, invited = map(link_in, arrived())
    choose(app, Choices())
    assert [stranger.get(path).status for path in (registering, "/register", invited)] == [404, 404, 200]
    choose(app, Choices(registration="closed"))
    assert stranger.get(invited).status == 404
    assert "Registration is closed" in admin_there.submit("/admin/users/invite", {"email": "x@example.com"}).text


def test_a_mail_speaks_its_readers_language(app, stranger, alice_there, arrived):
    alice_there.submit("/account", {"locale": "zh_Hans"}, action="/account/language")
    ask(stranger, "/forgot", ALICE)
    choose(app, OPEN)
    ask(Browser(app, language="zh-CN"), "/register", "new@example.com")
    for letter in arrived():
        assert re.search("[\u4e00-\u9fff]", str(letter["Subject"]))
        assert "\u8bf7" in letter.get_content()


@pytest.mark.parametrize(
    ("domains", "told"),
    [("", "Enter the domains"), ("example", "such as example.com"), ("a@b.c", "such as"), ("*.example.com", "such as")],
)
def test_an_open_door_needs_domains(admin_there, domains, told):
    page = admin_there.submit("/admin/settings", {"registration": "open", "mail_domains": domains})
    assert told in page.text


def test_any_domain_has_to_be_meant(app, admin_there, stranger, arrived):
    page = admin_there.submit("/admin/settings", {"registration": "open", "mail_domains": "example.org, *"})
    assert page.location == "/admin/settings"
    ask(stranger, "/register", "somebody@anywhere.example")
    assert len(arrived()) == 1
