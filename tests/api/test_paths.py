"""What paths and methods there are under /v1; everything else is told so in the caller's protocol, never as HTML."""

import pytest

from app.protocol.endpoints import ENDPOINTS
from tests.api.wire import request, say
from tests.live import ask

MISTAKEN = [
    "/v1",
    "/v1/",
    "/v1/nope",
    "/v1/v1/responses",
    "/v1/v1/models",
    "/v1/models/",
    "/v1/responses/",
    "/v1/chat/completions/",
    "/v1/chat",
    "/v1//models",
    "/v1/models//",
    "/v1//",
    "/v1/models;x=1",
    "/v1/%2e%2e/models",
    "/v1/../v1/nope",
    "/v1/./models",
    "/v1/completions",
    "/v1/embeddings",
    "/responses",
    "/responses/resp_x",
    "/chat/completions",
    "/messages",
    "/models",
    "/v1/v1/messages",
]
PATHS = sorted({endpoint.path for endpoint in ENDPOINTS} | {"/v1/models", "/v1/models/<path:model>"})


METHODS = ["GET", "POST", "DELETE", "PUT", "PATCH", "TRACE", "PROPFIND", "BREW"]


def methods_of(path):
    """The methods of a path; a tool's name is also a possible id."""
    methods = {e.method for e in ENDPOINTS if e.path == path} or {"GET"}
    return methods | {"GET", "DELETE"} if path in {"/v1/responses/compact", "/v1/responses/input_tokens"} else methods


def filled(path):
    return path.replace("<object_id>", "x").replace("<item_id>", "y").replace("<path:model>", "m")


@pytest.mark.acceptance("F-8")
@pytest.mark.parametrize("path", MISTAKEN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_path_is_told_the_right_base_url(house, reached, path, method):
    answer = house.ask(method, path)
    assert answer.status == 404
    error = answer.json()["error"]
    assert error["code"] == "unknown_url"
    assert "https://realms.example.com/v1 for OpenAI" in error["message"]
    assert answer.headers["x-request-id"]
    assert reached() == []


@pytest.mark.parametrize("path", ["/v1/messages/nope", "/v1/messages/", "/v1/nope", "/messages", "/v1/v1/messages"])
def test_an_anthropic_client_is_told_so_in_its_own_protocol(house, path):
    answer = house.post(path, {}, anthropic_version="2023-06-01")
    assert answer.status == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert answer.json()["request_id"] == answer.headers["request-id"]


@pytest.mark.acceptance("F-12")
@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path in PATHS for method in METHODS if method not in methods_of(path)]
)
def test_a_method_that_a_path_has_not_is_405_with_those_it_has(house, reached, path, method):
    answer = house.ask(method, filled(path))
    assert (answer.status, answer.headers["content-type"]) == (405, "application/json")
    assert set(answer.headers["allow"].split(", ")) == methods_of(path)
    assert reached() == []


@pytest.mark.acceptance("F-2")
@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "PUT", "BREW"])
def test_odd_methods_without_a_token_are_401(house, method):
    assert ask(house.port, method, "/v1/models").status == 401


@pytest.mark.acceptance("F-8")
def test_two_slashes_at_the_beginning_are_one(house):
    """gunicorn makes them so (RFC 3986, 5.2.4 is silent); authentication is the same."""
    assert house.ask("GET", "//v1/models").body == house.ask("GET", "/v1/models").body
    assert ask(house.port, "GET", "//v1/models").status == 401


@pytest.mark.acceptance("F-12")
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/resp_x", "/v1/messages", "/v1/nope"])
def test_head_has_no_body_and_says_what_is_allowed(house, reached, path):
    heard = say(house.port, request(house.tokens["alice"], "Connection: close", line=f"HEAD {path} HTTP/1.1"))
    assert heard.statuses == [404 if path == "/v1/nope" else 405]
    assert heard.body == b""
    assert (b"\r\nallow: " in heard.data) == (path != "/v1/nope")
    assert reached() == []


@pytest.mark.parametrize("path", ["/", "/api/hello", "/?beta=true"])
@pytest.mark.parametrize("token", ["", "Authorization: Bearer sk_nothing"])
def test_the_probes_of_claude_code_are_answered_without_a_token(house, path, token):
    line = f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}".rstrip()
    heard = say(house.port, line.encode() + b"\r\n\r\n")
    assert heard.statuses == [200]
    assert heard.body == b""
    assert b"set-cookie" not in heard.data.lower()


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime?model=x", "/v1/models", "/v1/messages"])
@pytest.mark.parametrize("token", ["", "sk_nothing", "alice"])
def test_a_websocket_upgrade_is_426_at_once_also_before_authentication(house, reached, path, token):
    upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA=="]
    sent = request(house.tokens.get(token, token), *upgrade, line=f"GET {path} HTTP/1.1")
    heard = say(house.port, sent, until=b"}", seconds=2)
    assert heard.statuses == [426]
    assert heard.seconds < 1
    assert b'{"error":{"message":"WebSockets' in heard.body or b'"type":"error"' in heard.body
    assert reached() == []


@pytest.mark.acceptance("F-12")
def test_options_answers_browsers_of_the_configured_origin_alone(house):
    asked = {"access-control-request-method": "POST"}
    for origin in ("https://app.example.com", "https://evil.example.com"):
        answer = ask(house.port, "OPTIONS", "/v1/responses", headers=asked | {"origin": origin})
        allowed = answer.headers.get("access-control-allow-origin")
        assert (answer.status, allowed) == (204, origin if "app" in origin else None)
        assert "access-control-allow-credentials" not in answer.headers
    answer = house.ask("GET", "/v1/models", origin="https://evil.example.com")
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.acceptance("E-1", "F-2")
def test_the_absolute_form_names_no_other_house(house):
    heard = say(
        house.port, request(house.tokens["alice"], "Connection: close", line="GET http://evil/v1/models HTTP/1.1")
    )
    assert heard.statuses == [200]
    assert b"evil" not in heard.data


@pytest.mark.acceptance("F-7")
def test_a_token_that_a_trusted_proxy_saw_in_clear_is_refused_without_a_redirect(house, reached):
    for body, version in (({"model": "sim-1", "input": "x"}, {}), ({}, {"anthropic_version": "2023-06-01"})):
        answer = house.post("/v1/responses", body, x_forwarded_proto="http", **version)
        assert answer.status == 403
        assert answer.json()["error"]["type"] == "permission_error"
        assert "https://realms.example.com" in answer.json()["error"]["message"]
        assert "location" not in answer.headers
    assert house.ask("GET", "/v1/models", x_forwarded_proto="https").status == 200
    assert reached() == []
