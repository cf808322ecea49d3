"""The application as a whole: what `create_app` puts together, and what holds for every address of it."""

import ipaddress

import pytest
from pydantic import SecretStr

from app import create_app
from app.services import accounts, tokens
from app.settings import ConfigError, Settings
from tests import live
from tests.conftest import PASSWORD, SECRET_KEY, VAULT_KEY
from tests.rooms import ALICE, Browser


@pytest.fixture
def client(app):
    """A client of an application that has begun to work, as a worker does before its first request."""
    client = app.test_client()
    client.get("/livez")
    return client


@pytest.fixture
def far_app(tmp_path):
    """An application whose database server is away."""
    url = f"postgresql+psycopg://realms@127.0.0.1:{live.free_port()}/realms"
    settings = Settings(
        data_dir=tmp_path,
        database_url=SecretStr(url),
        secret_key=SecretStr(SECRET_KEY),
        vault_keys=SecretStr(VAULT_KEY),
    )
    return create_app(settings)


def test_every_address_belongs_to_one_of_the_three_rooms(app):
    rooms = {rule.endpoint.partition(".")[0] for rule in app.url_map.iter_rules()}
    assert rooms == {"api", "console", "admin", "static"}


def test_an_environment_that_cannot_be_run_makes_no_application(monkeypatch):
    monkeypatch.setenv("REALMS_BIND", "nowhere")
    with pytest.raises(ConfigError, match="REALMS_BIND"):
        create_app()


def test_applications_side_by_side_share_nothing(settings, app):
    other = create_app(settings)
    for name in ("realms", "realms.api", "realms.house", "realms-throttle"):
        assert other.extensions[name] is not app.extensions[name]


@pytest.mark.acceptance("H-2")
def test_no_environment_variable_turns_debugging_on(monkeypatch, settings):
    monkeypatch.setenv("FLASK_DEBUG", "1")
    assert not create_app(settings).debug


def test_an_application_is_made_while_its_database_is_away_and_says_so(far_app):
    client = far_app.test_client()
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 503
    health = client.get("/healthz")
    assert (health.status_code, health.json["status"], health.json["database"]["ok"]) == (503, "degraded", False)


def test_a_token_that_cannot_be_looked_up_is_no_wrong_token(far_app):
    answer = far_app.test_client().get("/v1/models", headers={"Authorization": f"Bearer sk_{'x' * 43}"})
    assert answer.status_code == 503
    assert answer.json["error"]["code"] == "overloaded"
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_page_that_needs_the_database_says_that_it_is_away(far_app):
    answer = far_app.test_client().get("/login")
    assert answer.status_code == 503
    assert answer.content_type.startswith("text/html")


@pytest.mark.acceptance("F-8")
@pytest.mark.parametrize("path", ["//v1/models", "/v1//models", "/v1/models/", "/V1/models", "/v1;x=1/models"])
def test_a_misspelt_address_is_never_redirected(client, path):
    answer = client.get(path)
    assert answer.status_code in {401, 404}
    assert "Location" not in answer.headers


def test_machines_are_given_no_cookie_and_pages_are_not_for_them(client):
    for path in ("/v1/models", "/livez", "/readyz", "/healthz", "/static/realms.css"):
        answer = client.get(path)
        assert "Set-Cookie" not in answer.headers, path
        assert "html" not in answer.content_type, path
        answer.close()


def test_a_claude_code_that_starts_gets_its_quick_answer(client):
    for path in ("/", "/api/hello"):
        answer = client.head(path)
        assert (answer.status_code, answer.data) == (200, b"")


def test_an_unknown_page_leads_to_a_page_and_an_unknown_call_to_json(client):
    page = client.get("/no-such-page")
    call = client.get("/v1/no-such-call")
    assert page.status_code == 404
    assert page.content_type.startswith("text/html")
    assert call.content_type == "application/json"


@pytest.mark.acceptance("F-6")
@pytest.mark.parametrize(("trusted", "status"), [((ipaddress.ip_network("127.0.0.1/32"),), 302), ((), 429)])
def test_a_clients_address_is_what_a_trusted_proxy_says_and_nobody_else(settings, trusted, status):
    """Else all who come through the proxy wait for whoever guesses passwords through it."""
    app = create_app(settings.model_copy(update={"trusted_proxies": trusted}))
    with app.app_context():
        accounts.create_user(email=ALICE, password=PASSWORD, actor=None)

    def sign_in(email, password, *, address):
        fields = {"email": email, "password": password}
        return Browser(app).submit("/login", fields, headers={"X-Forwarded-For": address}).status

    for _ in range(6):
        sign_in("nobody@example.com", "a wrong password", address="203.0.113.9")
    assert sign_in(ALICE, PASSWORD, address="198.51.100.7") == status


@pytest.mark.acceptance("H-2")
def test_a_call_that_fails_inside_tells_nothing_but_its_id(app, ctx, alice, monkeypatch):
    def broken(*_):
        raise RuntimeError("SELECT secret of sk_12345 at /srv/realms/file.py on db.internal")

    token = tokens.mint(alice, name="x", actor=alice).secret
    monkeypatch.setattr(app.extensions["realms.api"].relay, "run", broken)
    sent = {"Authorization": f"Bearer {token}", "X-Request-Id": "call-that-fails"}
    answer = app.test_client().post("/v1/responses", json={"model": "x", "input": "x"}, headers=sent)
    assert answer.status_code == 500
    assert answer.json["error"]["code"] == "internal_error"
    assert answer.headers["X-Request-Id"] == "call-that-fails"
    for word in ("RuntimeError", "SELECT", "sk_12345", "file.py", "db.internal", "Traceback"):
        assert word not in answer.text
