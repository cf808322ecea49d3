"""What only one account can read can be taken out, and nothing else goes with it."""

import json

import pytest

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.protocol.sealed import is_unreadable, without_sealed

USER = {"role": "user", "content": "hello"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
OPEN_REASONING = {"type": "reasoning", "id": "rs_2", "summary": [{"text": "x"}], "encrypted_content": None}
COMPACTION = {"type": "compaction", "encrypted_content": "gAAA"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"encrypted_content":"x"}'}
TEXT, THOUGHT = {"type": "text", "text": "thinking"}, {"type": "thinking", "thinking": "…", "signature": "Eq"}
REDACTED = {"type": "redacted_thinking", "data": "Em"}


def a_call(name, body):
    raw = body if isinstance(body, bytes) else json.dumps({"model": "m"} | body).encode()
    return Call(id="c", request_id="r", endpoint=BY_NAME[name], caller=Caller(1, 1, "m"), body=parse(raw))


def left(name, body):
    found = without_sealed(a_call(name, body))
    return None if found is None else json.loads(found.body)


def said(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def test_sealed_items_go_and_everything_else_stays():
    got = left("responses.create", {"input": [USER, REASONING, CALL, OPEN_REASONING, COMPACTION], "store": False})
    assert got == {"model": "m", "input": [USER, CALL, OPEN_REASONING], "store": False}


def test_thoughts_go_and_what_was_said_stays():
    got = left("messages.create", {"messages": [USER, said(THOUGHT, TEXT), said(REDACTED), USER]})
    assert got["messages"] == [USER, said(TEXT), USER]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("responses.create", {"input": [USER, CALL]}),
        ("responses.create", {"input": "hello"}),
        ("responses.create", {}),
        ("responses.create", {"input": [5, None, "x", []]}),
        ("messages.create", {"messages": [USER, said(TEXT)]}),
        ("messages.create", {"messages": [{"role": "user", "content": "thinking"}, "thinking"]}),
    ],
)
def test_where_nothing_is_sealed_there_is_nothing_to_take_out(name, body):
    assert left(name, body) is None


@pytest.mark.parametrize(
    ("name", "code", "message", "unreadable"),
    [
        ("responses.create", "invalid_encrypted_content", "", True),
        (
            "responses.create",
            "invalid_request_error",
            "The encrypted content for item rs_1 could not be verified.",
            True,
        ),
        ("responses.create", "invalid_request_error", "signature of thinking", False),
        (
            "messages.create",
            "invalid_request_error",
            "messages.1.content.0: Invalid `signature` in `thinking` block",
            True,
        ),
        ("messages.create", "invalid_request_error", "max_tokens: too large", False),
    ],
)
def test_a_refusal_of_sealed_state_is_known(name, code, message, unreadable):
    assert is_unreadable(a_call(name, {}), code, message) == unreadable
