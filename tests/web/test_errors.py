"""Error pages."""

import pytest
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import TooManyRequests

from app.web import errors
from app.web.errors import TEXTS


@pytest.fixture
def app(app):
    """The application with a few rules that fail."""

    def broken():
        raise RuntimeError("the secret is sk_12345 in /srv/realms/file.py")

    def away():
        raise OperationalError("SELECT secret FROM users", {}, Exception("connection refused at 10.0.0.7"))

    def busy():
        raise TooManyRequests(retry_after=7)

    for name, view in (("broken", broken), ("away", away), ("busy", busy)):
        app.add_url_rule(f"/{name}", name, view)
    return app


def test_every_status_has_its_words():
    assert set(TEXTS) == {400, 403, 404, 405, 413, 429, 500, 503}


def test_a_missing_page(alice_there):
    page = alice_there.get("/no-such-page")
    assert page.status == 404
    assert page.soup.h1.get_text() == "There is no such page"
    assert page.soup.main.find("a", href="/")
    assert page.soup.main.small.code.get_text() == page.headers["X-Request-Id"]


@pytest.mark.acceptance("H-2")
def test_a_failure_tells_nothing_but_its_id(alice_there, monkeypatch):
    logged = []
    monkeypatch.setattr(errors.log, "error", lambda event, **values: logged.append((event, values)), raising=False)
    page = alice_there.get("/broken")
    assert page.status == 500
    for word in ("secret", "RuntimeError", "file.py", "Traceback"):
        assert word not in page.html
    assert page.headers["X-Request-Id"] in page.text
    event, values = logged[0]
    assert (event, values["request_id"]) == ("page_failed", page.headers["X-Request-Id"])
    assert isinstance(values["exc_info"], RuntimeError)


@pytest.mark.acceptance("H-4")
def test_the_database_away_is_503_without_its_words(alice_there):
    page = alice_there.get("/away")
    assert page.status == 503
    assert "10.0.0.7" not in page.html
    assert "SELECT" not in page.html


def test_a_failure_page_does_not_ask_the_database(app, alice_there):
    """The sign-in can't be looked up when the database is away: the page must not need it."""
    from app.services import sign_ins

    def away(_secret, *, touch):
        raise OperationalError("SELECT", {}, Exception("away"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign_ins, "find", away)
        page = alice_there.get("/tokens")
    assert page.status == 503
    assert page.soup.h1.get_text() == "The database can't be reached"


def test_too_many_says_when_to_come_again(alice_there):
    page = alice_there.get("/busy")
    assert (page.status, page.headers["Retry-After"]) == (429, "7")


def test_a_wrong_method(alice_there):
    page = alice_there.get("/logout")
    assert page.status == 405
    assert "POST" in page.headers["Allow"]


def test_machines_keep_their_own_errors(stranger):
    assert stranger.get("/v1/no-such-thing").response.is_json
