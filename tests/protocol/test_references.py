"""Every id of a stored object that a body holds is found, however it is written; nothing else is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME, ENDPOINTS, ObjectKind, Protocol
from app.protocol.envelope import parse
from app.protocol.errors import Problem, RelayError
from app.protocol.references import references

CALLER = Caller(1, 1, "mark")
ids = st.text("abcXYZ_-=0189", min_size=1, max_size=20)


def found(body, name="responses.create"):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    call = Call(id="c", request_id="r", endpoint=BY_NAME[name], caller=CALLER, body=parse(raw))
    return [(reference.kind, reference.id, reference.param) for reference in references(call)]


def escaped(text, data):
    return "".join(f"\\u{ord(c):04x}" if data.draw(st.booleans()) else c for c in text)


@given(ids, ids, st.lists(ids, max_size=4, unique=True))
def test_every_reference_of_a_body_is_found(previous, conversation, items):
    body = {
        "input": [{"type": "item_reference", "id": item} if n % 2 else {"id": item} for n, item in enumerate(items)],
        "previous_response_id": previous,
        "conversation": conversation if len(items) % 2 else {"id": conversation},
    }
    assert found(body) == [
        (ObjectKind.RESPONSE, previous, "previous_response_id"),
        (ObjectKind.CONVERSATION, conversation, "conversation"),
        *[(ObjectKind.ITEM, item, "input") for item in items],
    ]


@given(ids, st.data())
def test_names_and_values_may_be_written_with_escapes(item, data):
    spelled = [escaped(text, data) for text in ("input", "type", "item_reference", "id", item)]
    raw = f'{{"{spelled[0]}":[{{"{spelled[1]}":"{spelled[2]}","{spelled[3]}":"{spelled[4]}"}}]}}'
    assert found(raw.encode()) == [(ObjectKind.ITEM, item, "input")]
    names = [escaped(text, data) for text in ("previous_response_id", item)]
    assert found(f'{{"{names[0]}":"{names[1]}"}}'.encode()) == [(ObjectKind.RESPONSE, item, "previous_response_id")]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "message", "role": "user", "id": "msg_1", "content": "x"},
        {"role": "user", "id": "msg_1", "content": "x"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aW1hZ2U="},
        {"type": "image_generation_call", "status": "failed", "result": None},
        {"role": "user", "content": '{"type":"item_reference","id":"msg_1"}'},
        {"role": "user", "content": [{"type": "input_text", "text": "x", "id": "y"}]},
        {"type": "item_reference"},
        {"type": "item_reference", "id": None},
        "x",
        5,
        None,
        [],
        [{"id": "nested"}],
    ],
    ids=str,
)
def test_what_is_no_reference_is_none(item):
    assert found({"input": [item]}) == []
    assert found({"input": [item, {"id": "msg_2"}]}) == [(ObjectKind.ITEM, "msg_2", "input")]


@pytest.mark.parametrize("value", ["x", 5, None, {}, {"id": "msg_1"}, True, ""])
def test_an_input_that_is_no_list_holds_none(value):
    assert found({"input": value}) == []


@pytest.mark.parametrize(
    "body",
    [
        {"previous_response_id": 5},
        {"previous_response_id": ["x"]},
        {"conversation": 5},
        {"conversation": {"id": 5}},
        {"conversation": ["x"]},
        {"input": [{"id": 5}]},
        {"input": [{"type": "item_reference", "id": ["x"]}]},
        {"items": [{"id": {}}]},
    ],
    ids=str,
)
def test_an_id_that_is_no_text_is_the_clients_error(body):
    with pytest.raises(RelayError) as refused:
        found(body)
    assert refused.value.problem is Problem.INVALID_TYPE


def test_members_that_are_null_refer_to_nothing():
    assert found({"previous_response_id": None, "conversation": None, "input": None}) == []
    assert found({"conversation": {"id": None}}) == []


def test_broken_items_are_the_clients_error():
    with pytest.raises(RelayError) as refused:
        found(b'{"input":[' + b'{"id":[' * 5000 + b"]}" * 5000 + b"]}")
    assert refused.value.problem is Problem.INVALID_JSON


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_every_endpoint_of_the_responses_api_is_looked_at_and_no_other(endpoint):
    body = {"previous_response_id": "resp_1", "items": [{"id": "msg_1"}]}
    looked_at = endpoint.protocol is Protocol.OPENAI and not endpoint.name.startswith("chat.")
    assert bool(found(body, endpoint.name)) == looked_at


def test_a_call_without_a_body_refers_to_nothing():
    assert references(Call(id="c", request_id="r", endpoint=BY_NAME["responses.retrieve"], caller=CALLER)) == []


def test_more_items_than_any_conversation_has_are_refused():
    """Each item with an id is read, and each reference asked for."""
    for item in (b'{"id":"a"}', b'{"id":"a","role":"user"}'):
        with pytest.raises(RelayError, match="items") as refused:
            found(b'{"input":[%b]}' % b",".join([item] * 600_000))
        assert (refused.value.problem, refused.value.param) == (Problem.INVALID_VALUE, "input")


def test_a_reference_that_stands_many_times_is_asked_for_once():
    body = {"input": [{"id": "msg_1"}, {"id": "msg_2"}, {"id": "msg_1"}, {"type": "item_reference", "id": "msg_1"}]}
    assert found(body) == [(ObjectKind.ITEM, "msg_1", "input"), (ObjectKind.ITEM, "msg_2", "input")]
