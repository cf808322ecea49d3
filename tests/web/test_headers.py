"""Headers of pages and static files."""

import re

import pytest

from app import create_app
from app.extensions import db
from tests.rooms import Browser

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


@pytest.fixture
def https_browser(settings):
    app = create_app(settings.model_copy(update={"public_url": "https://realms.example.com"}))
    yield Browser(app)
    with app.app_context():
        db.engine.dispose()


@pytest.mark.acceptance("C-6", "C-7", "C-16")
@pytest.mark.parametrize("path", ["/", "/login", "/connect", "/no-such-page", "/admin"])
def test_a_page_is_protected(alice_there, path):
    headers = alice_there.get(path).headers
    assert dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; ")) == POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert "Cookie" in headers["Vary"]
    assert "Strict-Transport-Security" not in headers
    assert "Access-Control-Allow-Origin" not in headers


@pytest.fixture
def shared_with(settings):
    """Return a client of an application that lets web pages of one origin call it."""
    app = create_app(settings.model_copy(update={"cors_origins": ("https://chat.example.com",)}))
    yield app.test_client()
    with app.app_context():
        db.engine.dispose()


@pytest.mark.acceptance("C-16")
def test_other_sites_read_nothing_but_what_is_named_and_never_with_cookies(alice_there, shared_with):
    ask = {"Origin": "https://chat.example.com", "Access-Control-Request-Method": "POST"}
    for path in ("/", "/tokens", "/login", "/v1/models", "/v1/responses"):
        for found in (alice_there.get(path, headers=ask), alice_there.client.options(path, headers=ask)):
            assert not [name for name in dict(found.headers) if name.lower().startswith("access-control")], path
    for origin in ("https://chat.example.com.evil.example", "https://evil.example", "null", "http://chat.example.com"):
        found = shared_with.get("/v1/models", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in found.headers, origin
    allowed = shared_with.get("/v1/models", headers=ask)
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://chat.example.com"
    for headers in (allowed.headers, shared_with.options("/v1/responses", headers=ask).headers):
        assert "Access-Control-Allow-Credentials" not in headers
    assert "Access-Control-Allow-Origin" not in shared_with.get("/login", headers=ask).headers


@pytest.mark.acceptance("C-7")
def test_https_is_for_a_year(https_browser):
    assert https_browser.get("/login").headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.acceptance("C-4")
def test_the_cookie_is_bound_to_this_host_over_https(https_browser):
    cookie = https_browser.get("/login").headers["Set-Cookie"]
    assert cookie.startswith("__Host-realms=")
    for attribute in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert attribute in cookie
    assert "Domain" not in cookie


@pytest.mark.acceptance("C-4")
def test_the_cookie_over_http(stranger):
    cookie = stranger.get("/login").headers["Set-Cookie"]
    assert cookie.startswith("realms=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_static_files_may_be_kept_and_carry_their_hash(alice_there):
    page = alice_there.get("/")
    assets = [t.get("href") or t.get("src") for t in page.soup.find_all(["link", "script"])]
    assert len(assets) == 4
    for path in assets:
        assert re.search(r"\?v=[0-9a-f]{12}$", path), path
        answer = alice_there.get(path)
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers
        assert "Cookie" not in answer.headers.get("Vary", ""), "they are the same for everybody"


def test_machines_get_no_cookie_and_no_page_headers(alice_there):
    for path in ("/livez", "/v1/models"):
        headers = alice_there.get(path).headers
        assert "Set-Cookie" not in headers
        assert "Content-Security-Policy" not in headers


@pytest.mark.acceptance("F-9")
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "a b", 'x"><script>', ""]
)
def test_a_made_up_host_changes_no_link_no_cookie_and_no_right(app, alice_there, host):
    client = app.test_client(use_cookies=False)  # a jar would keep the cookie from another host
    mine = {"Cookie": f"realms={alice_there.cookie().value}"}

    def get(path, **more):
        return client.get(path, headers={"Host": host, "X-Forwarded-Host": "evil.example"} | more)

    for path, sent in (("/connect", mine), ("/", mine), ("/login", {}), ("/tokens", {})):
        page = get(path, **sent)
        assert page.status_code in {200, 302, 400}
        assert "evil.example" not in page.text + str(page.headers)
        assert "<script>" not in page.text
    assert get("/tokens", **mine).status_code == 200
    assert get("/admin", **mine).status_code == 404
    assert get("/v1/models").status_code in {400, 401}
