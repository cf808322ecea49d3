"""The rooms as browsers meet them: browsers that keep cookies, find forms and send them, and the people at them."""

import re

import pytest
from bs4 import BeautifulSoup
from sqlalchemy import select

from app.extensions import db
from app.services import accounts, catalog, tokens, upstreams
from tests.conftest import PASSWORD

ALICE, ADMIN = "alice@example.com", "admin@example.com"
UPSTREAM_KEY = "sk-upstream-secret-0123456789-wxyz"


class Page:
    """One answer, read as a person or a parser would."""

    def __init__(self, response):
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self.html = response.get_data(as_text=True)
        response.close()
        self.soup = BeautifulSoup(self.html, "html.parser")

    @property
    def location(self):
        return self.headers.get("Location")

    @property
    def text(self):
        return re.sub(r"\s+", " ", self.soup.get_text(" "))

    @property
    def title(self):
        return re.sub(r"\s+", " ", self.soup.title.get_text()).strip() if self.soup.title else ""

    def form(self, action):
        """The one form of the page's main part that is sent to `action`."""
        forms = [f for f in self.soup.main.find_all("form") if f.get("action", action) == action]
        assert len(forms) == 1, f"{len(forms)} forms for {action} on {self.title}"
        return forms[0]


class Browser:
    """A browser with its own cookies."""

    def __init__(self, app, *, language="en", address="127.0.0.1"):
        self.app = app
        self.client = app.test_client()
        self.sent = {"Accept-Language": language}
        self.environ = {"REMOTE_ADDR": address}

    def get(self, path, **kwargs):
        return Page(self.client.get(path, headers=self.sent | kwargs.pop("headers", {}), environ_base=self.environ))

    def post(self, path, data=None, **kwargs):
        headers = self.sent | kwargs.pop("headers", {})
        return Page(self.client.post(path, data=data or {}, headers=headers, environ_base=self.environ))

    def follow(self, page):
        return self.get(page.location) if page.location else page

    def submit(self, path, fields=None, *, action=None, headers=None):
        """Open `path`, fill its form and send it; return the answer, redirects not followed."""
        action = action or path
        return self.post(action, filled(self.get(path).form(action), fields or {}), headers=headers or {})

    def press(self, path, action):
        """Open `path` and press the button of the form that goes to `action`."""
        return self.post(action, filled(self.get(path).soup.find("form", action=action), {}))

    def token(self):
        """The token that this browser's forms carry."""
        return self.get("/login" if self.get("/").location else "/").soup.find(attrs={"name": "csrf_token"})["value"]

    def sign_in(self, email, password=PASSWORD):
        page = self.submit("/login", {"email": email, "password": password})
        assert page.status == 302, page.text
        return self

    def cookie(self):
        return self.client.get_cookie("realms")


def filled(form, fields):
    """What a browser would send for `form` with `fields` typed in."""
    data = {}
    for each in form.find_all(["input", "select", "textarea"]):
        name, kind = each.get("name"), each.get("type")
        if not name or (kind in {"checkbox", "radio"} and not each.has_attr("checked")):
            continue
        if each.name == "select":
            chosen = each.find("option", selected=True) or each.find("option")
            data[name] = chosen["value"] if chosen else ""
        else:
            data[name] = each.get("value", "") if each.name == "input" else each.get_text().strip()
    unknown = set(fields) - {each.get("name") for each in form.find_all(["input", "select", "textarea", "button"])}
    assert not unknown, f"the form has no {unknown}"
    return data | fields


def later(app, rows, **moments):
    """Put the moments of every row of a table back by so much: as if that time had passed since."""
    with app.app_context():
        for row in db.session.scalars(select(rows)):
            for name, delta in moments.items():
                setattr(row, name, getattr(row, name) - delta)
        db.session.commit()


@pytest.fixture
def people(app):
    """Alice, a user, and an administrator; set-up is over."""
    with app.app_context():
        accounts.create_user(email=ALICE, password=PASSWORD, name="Alice", actor=None)
        accounts.create_user(email=ADMIN, password=PASSWORD, name="Admin", role="admin", actor=None)


@pytest.fixture
def stranger(app, people):
    return Browser(app)


@pytest.fixture
def alice_there(app, people):
    """Alice's browser, signed in."""
    return Browser(app).sign_in(ALICE)


@pytest.fixture
def admin_there(app, people):
    """The administrator's browser, signed in a moment ago."""
    return Browser(app).sign_in(ADMIN)


@pytest.fixture
def furnished(app, people, provider):
    """An upstream with two credentials, two models with routes, a token of Alice's: number 1 each."""
    provider.key = UPSTREAM_KEY
    with app.app_context():
        upstream = upstreams.create(
            name="main", kind="openai", base_url=provider.url, key=UPSTREAM_KEY, priority=0, weight=1, actor=None
        )
        upstreams.add_credential(upstream.id, name="second", key=UPSTREAM_KEY, actor=None)
        catalog.import_models(upstream.id, {"gpt-5": None, "small": "m-1"}, actor=None)
        return tokens.mint(accounts.by_email(ALICE), name="laptop", actor=None).secret
