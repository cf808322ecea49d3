"""Who may come in: one credential, one way of refusing, whatever is wrong with it."""

import base64
import secrets
from datetime import UTC, datetime, timedelta

import pytest

from app.extensions import db
from app.models import Token
from app.protocol.endpoints import ENDPOINTS
from app.services import accounts, tokens
from tests.api.wire import say
from tests.contract.objects import told
from tests.live import PASSWORD, ask

CREATE = "/v1/responses"
RIGHT = {"model": "sim-1", "input": "x"}


@pytest.fixture(scope="module")
def refused(house):
    """Tokens that were good once, by what became of them."""

    def make():
        found = {}
        for what in ("revoked", "expired", "disabled"):
            user = accounts.create_user(email=f"{what}@example.com", password=PASSWORD, role="user", actor=None)
            minted = tokens.mint(user, name="x", actor=user)
            found[what] = minted.secret
            if what == "revoked":
                tokens.revoke(minted.token.id, actor=user, owner=user)
            elif what == "disabled":
                accounts.set_disabled(user.id, disabled=True, actor=None)
            else:
                row = db.session.get(Token, minted.token.id)
                row.expires_at = datetime.now(UTC) - timedelta(seconds=1)
                db.session.commit()
        return found

    return house.changed(make)


@pytest.fixture(scope="module")
def kept(house):
    """Tokens that are good elsewhere: for a model that nobody serves, from a network that nobody is in."""

    def make():
        carol = accounts.by_email("carol@example.com")
        return {
            "models": tokens.mint(carol, name="x", models=["another-model"], actor=carol).secret,
            "networks": tokens.mint(carol, name="x", networks=["203.0.113.0/24"], actor=carol).secret,
        }

    return house.changed(make)


def near_misses(token):
    """Tokens that differ from a good one in one place."""
    flipped = [token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :] for n in range(3, len(token))]
    return [*flipped, token[:-1], token + "A", token.upper(), token.lower(), token[:23], token * 2, f"{token}\x00"]


@pytest.mark.acceptance("A-10")
def test_every_refusal_is_the_same(house, refused, reached):
    never = "sk_" + secrets.token_urlsafe(32)
    answers = {what: house.post(CREATE, RIGHT, authorization=f"Bearer {token}") for what, token in refused.items()}
    answers["unknown"] = house.post(CREATE, RIGHT, authorization=f"Bearer {never}")
    answers["malformed"] = house.post(CREATE, RIGHT, authorization="Bearer nonsense")
    answers["missing"] = ask(house.port, "POST", CREATE, body=RIGHT)
    answers["as x-api-key"] = ask(house.port, "POST", CREATE, body=RIGHT, headers={"x-api-key": refused["revoked"]})
    for what, answer in answers.items():
        assert told(answer) == told(answers["unknown"]), what
    assert answers["unknown"].status == 401
    assert answers["unknown"].headers["www-authenticate"] == "Bearer"
    assert "/tokens" in answers["unknown"].json()["error"]["message"]
    assert reached() == []


@pytest.mark.parametrize("key", ["sk-proj-1234", "sk-ant-api03-1234", "AIza1234", "gsk_1234"])
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_a_providers_own_key_is_recognised_and_never_echoed(house, reached, key, header):
    value = f"Bearer {key}" if header == "authorization" else key
    answer = ask(house.port, "POST", CREATE, body=RIGHT, headers={header: value})
    assert answer.status == 401
    assert "provider's own key" in answer.json()["error"]["message"]
    assert key not in answer.body.decode()
    assert reached() == []


@pytest.mark.acceptance("A-5")
def test_a_token_that_differs_anywhere_is_refused(house):
    for token in near_misses(house.tokens["alice"]):
        sent = f"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nx-api-key: {token}\r\n\r\n"
        assert say(house.port, sent.encode()).statuses in ([401], [400])


TOKEN = "TOKEN"
CREDENTIALS = {
    "bearer": ([f"Authorization: Bearer {TOKEN}"], 200),
    "any case of the scheme": ([f"Authorization: bEARER {TOKEN}"], 200),
    "more space": ([f"Authorization: Bearer   {TOKEN}  "], 200),
    "x-api-key": ([f"x-api-key: {TOKEN}"], 200),
    "both, good": ([f"Authorization: Bearer {TOKEN}", f"x-api-key: {TOKEN}"], 200),
    "good and junk": ([f"Authorization: Bearer {TOKEN}", "x-api-key: junk"], 200),
    "junk and good": (["Authorization: Bearer junk", f"x-api-key: {TOKEN}"], 401),
    "empty and good": (["Authorization:", f"x-api-key: {TOKEN}"], 401),
    "a scheme alone and good": (["Authorization: Bearer", f"x-api-key: {TOKEN}"], 401),
    "another scheme": ([f"Authorization: Token {TOKEN}"], 401),
    "no scheme": ([f"Authorization: {TOKEN}"], 401),
    "basic": (["Authorization: Basic " + base64.b64encode(b"x:y").decode()], 401),
    "an empty key": (["x-api-key:"], 401),
    "bearer in x-api-key": ([f"x-api-key: Bearer {TOKEN}"], 401),
    "authorization twice": ([f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"], 401),
    "authorization twice, one empty": ([f"Authorization: Bearer {TOKEN}", "Authorization:"], 401),
    "x-api-key twice": ([f"x-api-key: {TOKEN}", f"x-api-key: {TOKEN}"], 401),
    "underscores": ([f"x_api_key: {TOKEN}"], 401),
    "a cookie": ([f"Cookie: token={TOKEN}; realms={TOKEN}"], 401),
    "bytes of no alphabet": (["Authorization: Bearer \xff\xfe"], 401),
    "quotes": (["Authorization: Bearer ' OR 1=1 --"], 401),
    "8 KB": ["Authorization: Bearer " + "a" * 8000, 401],
}


@pytest.mark.acceptance("A-4", "A-8")
@pytest.mark.parametrize("name", CREDENTIALS)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
def test_one_credential_decides(house, reached, name, path):
    lines, status = CREDENTIALS[name]
    lines = [lines] if isinstance(lines, str) else lines
    head = "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *lines]) + "\r\n\r\n"
    heard = say(house.port, head.replace(TOKEN, house.tokens["carol"]).encode("latin-1"))
    assert heard.statuses == [status]
    assert house.tokens["carol"].encode() not in heard.data
    assert reached() == []


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_endpoint_asks_for_a_token_before_anything_else(house, refused, reached, endpoint):
    path = endpoint.path.replace("<object_id>", "..").replace("<item_id>", "y")
    for headers in ({}, {"x-api-key": refused["revoked"]}, {"authorization": f"bearer {refused['disabled']}"}):
        answer = ask(house.port, endpoint.method, path, body=b"{", headers=headers)
        assert answer.status == 401
    assert reached() == []


BODY = {"model": "sim-1", "input": "x", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
CARRIERS = {
    "Bearer": lambda token: {"authorization": f"Bearer {token}"},
    "bearer": lambda token: {"authorization": f"bearer {token}"},
    "x-api-key": lambda token: {"x-api-key": token},
}


@pytest.mark.acceptance("A-2", "D-5")
@pytest.mark.parametrize("what", ["revoked", "expired", "disabled", "models", "networks"])
@pytest.mark.parametrize("carried", CARRIERS)
def test_what_restricts_a_token_holds_by_every_header_on_every_endpoint(house, refused, kept, reached, what, carried):
    headers = CARRIERS[carried]((refused | kept)[what])
    for endpoint in ENDPOINTS:
        if what == "models" and not endpoint.needs_model:
            continue  # objects of other models: contract/test_lifecycle.py
        path = endpoint.path.replace("<object_id>", "resp_x").replace("<item_id>", "msg_x")
        body = BODY if endpoint.takes_body else None
        answer = ask(house.port, endpoint.method, path, body=body, headers=headers)
        assert answer.status == {"models": 404, "networks": 403}.get(what, 401), endpoint.name
    assert reached() == []


@pytest.mark.acceptance("A-8")
def test_a_token_in_the_query_or_the_body_is_no_credential(house, reached):
    token = house.tokens["alice"]
    for query in (f"api_key={token}", f"key={token}", f"access_token={token}"):
        assert ask(house.port, "GET", f"/v1/models?{query}").status == 401
    assert ask(house.port, "POST", CREATE, body=RIGHT | {"api_key": token}).status == 401
    assert token not in house.log.read_text()
    assert reached() == []


@pytest.mark.acceptance("A-11")
def test_a_token_that_expires_is_refused_from_then_on(house):
    def mint():
        user = accounts.by_email("carol@example.com")
        soon = datetime.now(UTC) + timedelta(seconds=2)
        return tokens.mint(user, name="short", actor=user, expires_at=soon).secret

    with house.app.app_context():
        token = mint()
        db.session.remove()
    bearer = f"Bearer {token}"
    assert house.ask("GET", "/v1/models", authorization=bearer).status == 200
    house.changed(lambda: None)
    house.changed(lambda: None)
    assert house.ask("GET", "/v1/models", authorization=bearer).status == 401


@pytest.mark.acceptance("A-11")
def test_a_token_that_expires_ends_no_stream_that_it_began(house, sim):
    def mint():
        user = accounts.by_email("carol@example.com")
        soon = datetime.now(UTC) + timedelta(seconds=1.5)
        return tokens.mint(user, name="short", actor=user, expires_at=soon).secret

    with house.app.app_context():
        house.tokens["short"] = mint()
        db.session.remove()
    answer = house.post(CREATE, {"model": "sim-1+events=30,gap=0.1", "input": "x", "stream": True}, who="short")
    assert answer.status == 200
    assert b"event: response.completed" in answer.body
    assert house.ask("GET", "/v1/models", who="short").status == 401


@pytest.mark.acceptance("F-5")
def test_the_body_of_a_stranger_is_not_waited_for(house):
    head = b"POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nExpect: 100-continue\r\n"
    heard = say(house.port, head + b"Content-Length: 1000\r\n\r\n", until=b"}}", seconds=3)
    assert heard.statuses == [401]
    assert heard.seconds < 0.9


def test_the_request_id_is_the_clients_where_it_can_be_one_and_ours_otherwise(house):
    assert house.ask("GET", "/v1/models", x_request_id="my-id_1.2").headers["x-request-id"] == "my-id_1.2"
    minted = set()
    for wanted in ("", "a" * 65, "a b", "a,b", "../x", "é", "<script>"):
        given = house.ask("GET", "/v1/models", x_request_id=wanted.encode("latin-1")).headers["x-request-id"]
        assert given != wanted
        assert given.startswith("req_")
        minted.add(given)
    assert len(minted) == 7
