"""How a call is put to the Codex backend, and what its refusals mean."""

import json

import pytest
from msgspec import structs

from app.protocol.call import Place, Target
from app.protocol.endpoints import BY_NAME
from app.protocol.policy import Policy
from app.upstreams.codex_account import Pass
from app.upstreams.codex_oauth import ORIGINATOR, CodexOAuth, usage_url
from app.upstreams.verdict import Scope
from tests.upstreams.test_base import a_call

CREATE, COMPACT = BY_NAME["responses.create"], BY_NAME["responses.compact"]
PLACE = Place(1, 2, "codex_oauth", "https://chat.example/backend-api/codex", str(Pass("acc-1", "at-1")))
CODEX = CodexOAuth()


def put(endpoint=CREATE, body=b'{"model":"m","input":[]}', **headers):
    call = a_call(endpoint, body, headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()))
    outgoing = CODEX.prepare(call, Target(PLACE))
    return outgoing.url, dict(outgoing.headers)


def judged(status, error=None, *, body=None):
    told = json.dumps({"error": error or {}}).encode() if body is None else body
    return CODEX.judge(status, {}, told, call=a_call(CREATE))


def test_where_it_goes_and_with_what():
    url, headers = put()
    assert url == "https://chat.example/backend-api/codex/responses"
    assert put(COMPACT)[0] == "https://chat.example/backend-api/codex/responses/compact"
    assert headers["authorization"] == "Bearer at-1"
    assert headers["chatgpt-account-id"] == "acc-1"
    assert headers["openai-beta"] == "responses=experimental"
    assert headers["accept"] == "text/event-stream"
    assert usage_url(PLACE.base_url) == "https://chat.example/backend-api/wham/usage"


def test_its_policy_says_what_it_is_told_where_nobody_says_anything():
    place = structs.replace(PLACE, policy=Policy(instructions="house rules"))
    sent = CODEX.prepare(a_call(CREATE, b'{"model":"m","input":[]}'), Target(place)).body
    assert json.loads(sent)["instructions"] == "house rules"


def test_a_codex_client_introduces_itself():
    own = {"originator": "codex_exec", "user_agent": "codex_exec/0.169.0", "session_id": "s", "thread_id": "t"}
    _, headers = put(**own)
    assert {name: headers[name.replace("_", "-")] for name in own} == own
    assert "conversation_id" not in headers


def test_others_are_introduced():
    _, headers = put(user_agent="OpenAI/Python", x_stainless_lang="python")
    assert (headers["originator"], headers["user-agent"]) == (ORIGINATOR, ORIGINATOR)
    assert "x-stainless-lang" not in headers


@pytest.mark.parametrize(("key", "shown"), [("k-1", "k-1"), ("two\r\nlines", None), ("é", None), ("k" * 300, None)])
def test_the_cache_key_names_the_session_where_nothing_else_does(key, shown):
    _, headers = put(body=json.dumps({"model": "m", "prompt_cache_key": key}).encode())
    assert headers.get("session_id") == shown
    assert headers.get("conversation_id") == shown


@pytest.mark.parametrize("code", ["usage_limit_reached", "insufficient_quota", "billing_hard_limit_reached"])
@pytest.mark.parametrize("member", ["code", "type"])
@pytest.mark.parametrize("status", [429, 403, 400])
def test_a_used_up_account_rests_until_it_resets(code, member, status):
    verdict = judged(status, {member: code, "resets_in_seconds": 77})
    assert (verdict.scope, verdict.reason, verdict.rest_s) == (Scope.CREDENTIAL, "quota", 77)
    assert judged(status, {member: code}).rest_s == 300


def test_402_is_a_used_up_account_and_429_a_busy_one():
    assert judged(402).reason == "quota"
    assert judged(429, {"code": "rate_limit_exceeded"}).reason == "rate_limited"


@pytest.mark.parametrize(
    ("message", "for_good"), [("Your token is invalid.", True), ("Provided token is expired.", False), ("", False)]
)
def test_a_401_may_be_mended_by_a_fresh_token(message, for_good):
    verdict = judged(401, {"message": message})
    assert (verdict.scope, verdict.outdated, verdict.key_refused) == (Scope.CREDENTIAL, True, for_good)


def test_the_type_that_most_errors_have_says_nothing_of_a_token():
    error = {"message": "Something went wrong.", "type": "invalid_request_error", "code": None}
    assert not judged(401, error).key_refused
    assert judged(401, error | {"code": "token_invalidated"}).key_refused
    assert judged(401, body=b'{"detail":{"code":"token_invalidated"}}').key_refused


@pytest.mark.parametrize(
    ("body", "for_good"),
    [
        (b'{"detail":"Account suspended"}', True),
        (b'{"error":{"message":"This user has been deactivated"}}', True),
        (b'{"error":{"message":"no"}}', False),
        (b"<html>deactivated</html>", False),
    ],
)
def test_a_403_ends_an_account_only_where_it_says_so(body, for_good):
    verdict = judged(403, body=body)
    assert (verdict.scope, verdict.outdated, verdict.key_refused) == (Scope.CREDENTIAL, False, for_good)


def test_the_rest_is_as_everywhere():
    assert CODEX.judge(200, {}, b"{}", call=a_call(CREATE)) is None
    assert judged(400, {"code": "context_length_exceeded"}).scope is Scope.REQUEST
    assert judged(503).scope is Scope.UPSTREAM


def test_what_a_test_asks_for():
    url, headers = CODEX.list_request(PLACE)
    assert url.endswith("/wham/usage")
    assert headers["chatgpt-account-id"] == "acc-1"
    assert CODEX.listed(b'{"rate_limit":{}}') == []
    with pytest.raises(ValueError, match="usage"):
        CODEX.listed(b"<html>")
