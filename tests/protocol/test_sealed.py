"""What only one account can read can be taken out, and nothing else goes with it."""

import json

import pytest

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.protocol.sealed import is_unreadable, unsealed

USER = {"role": "user", "content": "hello"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
OPEN_REASONING = {"type": "reasoning", "id": "rs_2", "summary": [{"text": "x"}], "encrypted_content": None}
COMPACTION = {"type": "compaction", "encrypted_content": "gAAA"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"encrypted_content":"x"}'}
TEXT, THOUGHT = {"type": "text", "text": "thinking"}, {"type": "thinking", "thinking": "…", "signature": "Eq"}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
REDACTED = {"type": "redacted_thinking", "data": "Em"}


def a_call(name, body):
    raw = body if isinstance(body, bytes) else json.dumps({"model": "m"} | body).encode()
    return Call(id="c", request_id="r", endpoint=BY_NAME[name], caller=Caller(1, 1, "m"), body=parse(raw))


def left(name, body, known=None):
    found = unsealed(a_call(name, body), known)
    return None if found is None else json.loads(found.body.body)


def said(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def test_sealed_reasoning_goes_and_everything_else_stays():
    got = left("responses.create", {"input": [USER, REASONING, CALL, OPEN_REASONING, COMPACTION], "store": False})
    assert got == {"model": "m", "input": [USER, CALL, OPEN_REASONING, COMPACTION], "store": False}


def test_what_came_with_the_reasoning_loses_the_id_that_says_so():
    spoken = {"id": "msg_1", "role": "assistant", "content": "x"}
    search = {"id": "ws_1", "type": "web_search_call"}
    got = left("responses.create", {"input": [USER, REASONING, CALL | {"id": "fc_1"}, spoken, search]})
    assert got["input"] == [USER, CALL, {"role": "assistant", "content": "x"}, search]


@pytest.mark.parametrize("odd", [{"type": {}}, {"type": ["thinking"]}, {"type": 5, "id": "x"}], ids=str)
def test_an_item_whose_type_is_no_word_is_left_to_its_provider_with_all_others(odd):
    assert left("responses.create", {"input": [USER, REASONING, odd]}) is None
    assert left("messages.create", {"messages": [said(THOUGHT, odd)]}) is None


def test_thoughts_go_and_what_was_said_stays():
    got = left("messages.create", {"messages": [USER, said(THOUGHT, TEXT), said(REDACTED), USER]})
    assert got["messages"] == [USER, said(TEXT), USER]


def test_only_what_is_known_goes_where_that_is_told():
    other, later = REASONING | {"encrypted_content": "gBBB"}, THOUGHT | {"signature": "Er"}
    known = unsealed(a_call("responses.create", {"input": [REASONING]})).marks
    assert left("responses.create", {"input": [REASONING, other, USER]}, known)["input"] == [other, USER]
    assert left("responses.create", {"input": [other, USER]}, known) is None
    known = unsealed(a_call("messages.create", {"messages": [said(THOUGHT)]})).marks
    got = left("messages.create", {"messages": [said(THOUGHT, TEXT), said(later, TEXT)]}, known)
    assert got["messages"] == [said(TEXT), said(later, TEXT)]


@pytest.mark.parametrize(
    ("thinking", "last", "without"),
    [
        ({"type": "enabled"}, said(THOUGHT, USE), {"thinking", "context_management"}),
        ({"type": "enabled"}, said(THOUGHT, TEXT), set()),
        ({"type": "adaptive"}, said(THOUGHT, USE), set()),
        (None, said(THOUGHT, USE), set()),
    ],
)
def test_in_the_midst_of_tools_thinking_ends_with_the_thought_that_a_turn_must_begin_with(thinking, last, without):
    edits = {"edits": [{"type": "clear_thinking_20251015"}]}
    body = {"messages": [USER, last, USER], "context_management": edits}
    if thinking:
        body["thinking"] = thinking
    got = left("messages.create", body)
    assert set(body) - set(got) == without
    assert got["messages"][1]["content"] == last["content"][1:]


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
