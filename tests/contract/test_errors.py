"""Every error of the table, provoked from outside, in both dialects: one shape, a request id, and no secret."""

import gzip
import json

import pytest

from app.protocol.endpoints import ObjectKind, Protocol
from app.protocol.errors import Problem
from tests.contract.objects import make
from tests.live import ask

OPENAI, ANTHROPIC = Protocol.OPENAI, Protocol.ANTHROPIC
ELSEWHERE = {
    Problem.INTERNAL,
    Problem.BODY_TIMEOUT,
    Problem.INSECURE,
    Problem.INSUFFICIENT_QUOTA,
    Problem.WRONG_ADDRESS,
    Problem.STOPPED,
    Problem.UNREADABLE,
}
"""Not to be had from a healthy house with its usual settings: see tests/api, contract/test_limits.py,
services/test_callers.py, contract/test_turns.py and faults/test_stopped.py."""
OPENAI_ONLY = {
    Problem.PREVIOUS_RESPONSE_NOT_FOUND,
    Problem.SPREAD_STATE,
    Problem.RESPONSE_NOT_FOUND,
    Problem.CHAT_NOT_FOUND,
    Problem.CONVERSATION_NOT_FOUND,
    Problem.ITEM_NOT_FOUND,
}
"""About objects that Messages doesn't have."""
ITEM = [{"type": "item_reference", "id": "msg_nobody"}]
BODIES = {
    Problem.INVALID_JSON: b"{",
    Problem.INVALID_TYPE: {"stream": "true"},
    Problem.MISSING_PARAMETER: {"model": None},
    Problem.PREVIOUS_RESPONSE_NOT_FOUND: {"previous_response_id": "resp_nobody"},
    Problem.CONVERSATION_NOT_FOUND: {"conversation": "conv_nobody"},
    Problem.ITEM_NOT_FOUND: {"input": ITEM},
    Problem.MODEL_NOT_FOUND: {"model": "nothing"},
    Problem.RATE_LIMITED: {"model": "MODEL+status=429"},
    Problem.UPSTREAM: {"model": "MODEL+status=500"},
    Problem.OVERLOADED: {"model": "MODEL+status=503"},
    Problem.TIMEOUT: {"model": "MODEL+status=504"},
}
PLACES = {
    Problem.INVALID_VALUE: ("GET", {OPENAI: "/v1/chat/completions?limit=0", ANTHROPIC: "/v1/models?limit=0"}),
    Problem.RESPONSE_NOT_FOUND: ("GET", {OPENAI: "/v1/responses/resp_nobody"}),
    Problem.CHAT_NOT_FOUND: ("GET", {OPENAI: "/v1/chat/completions/chatcmpl-nobody"}),
    Problem.UNKNOWN_PATH: ("GET", {OPENAI: "/v1/nope", ANTHROPIC: "/v1/messages/nope"}),
    Problem.METHOD_NOT_ALLOWED: ("PUT", {OPENAI: "/v1/responses", ANTHROPIC: "/v1/messages"}),
}
CREATES = {OPENAI: "/v1/responses", ANTHROPIC: "/v1/messages"}


def whole(protocol, **changes):
    """A body that is right but for the changes."""
    model = "sim-1" if protocol is OPENAI else "claude-1"
    body = {"model": model, "input": "x", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]} | changes
    return {name: value.replace("MODEL", model) if name == "model" and value else value for name, value in body.items()}


def provoke(house, problem, protocol):
    """Make a call that must fail in this way."""
    version = {"anthropic_version": "2023-06-01"} if protocol is ANTHROPIC else {}
    path = CREATES[protocol]
    if problem in PLACES:
        method, paths = PLACES[problem]
        return house.ask(method, paths[protocol], **version)
    if problem in BODIES:
        changes = BODIES[problem]
        return house.post(path, changes if isinstance(changes, bytes) else whole(protocol, **changes), **version)
    if problem is Problem.SPREAD_STATE:
        there, here = make(house, ObjectKind.RESPONSE, model="other-1"), make(house, ObjectKind.CONVERSATION)
        return house.post(path, whole(protocol, previous_response_id=there, conversation=here))
    if problem is Problem.UNSUPPORTED:
        count = "/v1/responses/input_tokens" if protocol is OPENAI else "/v1/messages/count_tokens"
        return house.post(count, whole(protocol, model="MODEL+fault=not_found_endpoint"), **version)
    headers = {
        Problem.INVALID_API_KEY: {"authorization": "Bearer sk_nothing"},
        Problem.UNSUPPORTED_MEDIA_TYPE: {"content_type": "text/plain"},
        Problem.TOO_LARGE: {"content_encoding": "gzip"},
        Problem.NO_WEBSOCKET: {"upgrade": "websocket", "connection": "Upgrade"},
    }[problem]
    body = gzip.compress(b" " * (33 << 20)) if problem is Problem.TOO_LARGE else whole(protocol)
    return house.post(path, body, **version, **headers)


CASES = [(p, d) for p in Problem for d in Protocol if p not in ELSEWHERE and (d is OPENAI or p not in OPENAI_ONLY)]


@pytest.mark.acceptance("H-1")
@pytest.mark.parametrize(("problem", "protocol"), CASES, ids=lambda value: value.name.lower())
def test_an_error_speaks_the_callers_protocol(house, sim, problem, protocol):
    answer = provoke(house, problem, protocol)
    row, told = problem.value, answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    if protocol is OPENAI:
        assert answer.status == row.status
        assert set(told) == {"error"}
        assert set(told["error"]) == {"message", "type", "param", "code"}
        assert (told["error"]["type"], told["error"]["code"]) == (row.type, row.code)
        assert "request-id" not in answer.headers
    else:
        assert answer.status == {503: 529}.get(row.status, row.status)
        assert set(told) == {"type", "error", "request_id"}
        assert (told["type"], set(told["error"]), told["error"]["type"]) == (
            "error",
            {"type", "message"},
            row.anthropic,
        )
        assert told["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]
    assert told["error"]["message"].endswith((".", "'")), "a message is a sentence"
    if answer.status == 429:
        assert int(answer.headers["retry-after"]) >= 1
    if answer.status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"
    if answer.status == 405:
        assert answer.headers["allow"] == "POST"
    for secret in ("sim-main", "sim-claude", "org-sim", "Traceback", "app/", str(house.provider.port), "nothing there"):
        assert secret not in answer.body.decode()


@pytest.mark.acceptance("E-12")
@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("status", [401, 402, 403, 407])
def test_what_the_provider_says_about_our_account_stays_here(house, protocol, status):
    answer = house.post(CREATES[protocol], whole(protocol, model=f"MODEL+status={status}"))
    used_up = 503 if protocol is OPENAI else 529
    assert answer.status == (used_up if status == 402 else 502)
    assert "sim" not in answer.json()["error"]["message"].lower()
    assert "administrator" in answer.json()["error"]["message"]


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached", "usage_limit_reached"])
def test_a_used_up_account_is_no_rate_limit_of_the_callers(house, code):
    answer = house.post("/v1/responses", whole(OPENAI, model=f"sim-1+status=429,code={code}"))
    assert (answer.status, answer.json()["error"]["code"]) == (503, "overloaded")


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("protocol", Protocol)
def test_what_the_provider_says_about_the_request_passes_byte_for_byte(house, protocol, status, stream):
    body = whole(protocol, model=f"MODEL+status={status}", stream=stream)
    answer = house.post(CREATES[protocol], body)
    key = {"authorization": "Bearer sim-main"} if protocol is OPENAI else {"x-api-key": "sim-claude"}
    direct = ask(house.provider.port, "POST", CREATES[protocol], body=body, headers=key)
    assert (answer.status, direct.status) == (status, status)
    if protocol is OPENAI:
        assert answer.body == direct.body
    else:
        own, theirs = answer.json(), direct.json()
        assert own.pop("request_id", "") and theirs.pop("request_id", "")
        assert own == theirs


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize(("given", "told"), [("7", "7"), ("0.2", "1"), ("90000", None), ("soon", None), ("-1", None)])
def test_a_providers_retry_after_passes_where_it_makes_sense(house, protocol, given, told):
    answer = house.post(CREATES[protocol], whole(protocol, model=f"MODEL+status=503,retry_after={given}"))
    assert answer.headers.get("retry-after") == told


@pytest.mark.parametrize(
    ("asked", "model", "named"),
    [
        ("/v1/messages", "sim-1", "/v1/responses"),
        ("/v1/messages/count_tokens", "sim-1", "/v1/chat/completions"),
        ("/v1/responses", "claude-1", "/v1/messages"),
        ("/v1/chat/completions", "claude-1", "/v1/messages"),
    ],
)
def test_a_model_that_is_elsewhere_is_not_found_and_the_message_says_where_it_is(house, reached, asked, model, named):
    protocol = ANTHROPIC if "messages" in asked else OPENAI
    answer = house.post(asked, whole(protocol, model=model))
    assert answer.status == 404
    assert named in answer.json()["error"]["message"]
    assert reached() == []


def test_a_refused_call_leaves_a_record_with_its_reason(house):
    answer = house.post("/v1/responses", whole(OPENAI, model="nothing"), x_request_id="errors-refused")
    assert answer.status == 404
    record = house.record("errors-refused")
    assert (record["status"], record["end"], record["reason"]) == (404, "refused", "model_not_found")
    assert json.loads(record["usage_raw"] or "null") is None
