"""Bodies as the Codex backend takes them."""

import json

import pytest

from app.protocol.envelope import parse
from app.protocol.errors import RelayError
from app.upstreams.codex_body import INSTRUCTIONS, REJECTED, refuse_state, transformed


def sent(*, compacts=False, **body):
    return json.loads(transformed(parse(json.dumps({"model": "m"} | body).encode()), compacts=compacts).body)


def test_what_is_forced():
    body = sent(input="hi", stream=False, store=True)
    assert (body["stream"], body["store"]) == (True, False)
    assert body["instructions"] == INSTRUCTIONS
    assert body["include"] == ["reasoning.encrypted_content"]
    part = {"type": "input_text", "text": "hi"}
    assert body["input"] == [{"type": "message", "role": "user", "content": [part]}]


def test_the_callers_own_words_stay():
    body = sent(input=[], instructions="be brief", include=["x", "reasoning.encrypted_content"])
    assert body["instructions"] == "be brief"
    assert body["include"] == ["x", "reasoning.encrypted_content"]
    assert sent(input=[], include=["x"])["include"] == ["x", "reasoning.encrypted_content"]


@pytest.mark.parametrize("empty", [None, ""])
def test_empty_instructions_are_none(empty):
    assert sent(input=[], instructions=empty)["instructions"] == INSTRUCTIONS


def test_instructions_that_nobody_gives_can_be_another_sentence():
    for body, wanted in ((b'{"model":"m"}', "house rules"), (b'{"model":"m","instructions":"mine"}', "mine")):
        told = transformed(parse(body), compacts=False, instructions="house rules").body
        assert json.loads(told)["instructions"] == wanted


def test_what_the_backend_rejects_is_left_out():
    assert not REJECTED & sent(input="hi", **dict.fromkeys(REJECTED, 1)).keys()


def test_everything_else_passes_with_its_own_bytes():
    raw = b'{"model":"m","input":[{"id":"x","n":9007199254740993,"f":1.0}],"reasoning":{"n":1.0}}'
    body = transformed(parse(raw), compacts=False).body
    assert b'"input":[{"n":9007199254740993,"f":1.0}]' in body
    assert b'"reasoning":{"n":1.0}' in body


def test_items_lose_their_ids_and_nothing_else():
    items = [{"id": "rs_1", "type": "reasoning", "encrypted_content": "e"}, {"type": "compaction_trigger"}, "odd"]
    assert sent(input=items)["input"] == [{"type": "reasoning", "encrypted_content": "e"}, *items[1:]]


def test_functions_in_the_words_of_chat_are_made_flat():
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}, {"type": "function", "name": "g"}]
    body = sent(input=[], tools=tools, tool_choice={"type": "function", "function": {"name": "f"}})
    assert body["tools"] == [{"type": "function", "name": "f", "parameters": {}}, {"type": "function", "name": "g"}]
    assert body["tool_choice"] == {"type": "function", "name": "f"}


def test_compaction_is_no_stream_and_stores_nothing_to_say_so():
    assert sent(compacts=True, input=[], stream=True, store=True) == {
        "model": "m",
        "input": [],
        "instructions": INSTRUCTIONS,
    }


@pytest.mark.parametrize("name", ["previous_response_id", "conversation"])
def test_there_is_no_state_to_go_on_from(name):
    refuse_state(parse(json.dumps({name: None}).encode()))
    with pytest.raises(RelayError) as refused:
        refuse_state(parse(json.dumps({name: "resp_1"}).encode()))
    assert refused.value.param == name


@pytest.mark.parametrize(
    ("name", "value"), [("input", {"a": 1}), ("include", "x"), ("input", [{"type": "item_reference", "id": "i"}])]
)
def test_what_cant_be_sent_is_the_callers_mistake(name, value):
    with pytest.raises(RelayError) as refused:
        sent(**({"input": []} | {name: value}))
    assert refused.value.param == name


def test_tools_that_are_no_list_are_the_callers_mistake():
    with pytest.raises(RelayError) as refused:
        sent(input=[], tools={"function": 1})
    assert refused.value.param == "tools"
