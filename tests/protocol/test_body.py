"""What a whole answer reveals, by the endpoint that gave it."""

import json

import pytest

from app.protocol.body import read, revealed, with_model
from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME, ENDPOINTS, ObjectKind

ANSWER = {"id": "resp_1", "output": [{"id": "msg_1"}, {"id": None}, 5, {"id": "rs_1"}], "data": [{"id": "item_1"}, "x"]}


def ids(name, answer=ANSWER, stores=True):
    call = Call(id="c", request_id="r", endpoint=BY_NAME[name], caller=Caller(1, 1, "m"), stores=stores)
    return revealed(call, read(json.dumps(answer).encode()))


def test_a_response_reveals_itself_and_its_items():
    kept = [(ObjectKind.RESPONSE, "resp_1"), (ObjectKind.ITEM, "msg_1"), (ObjectKind.ITEM, "rs_1")]
    assert ids("responses.create") == kept


def test_reading_reveals_nothing_but_what_a_background_response_has_made_meanwhile():
    assert ids("responses.retrieve") == []
    assert (ObjectKind.ITEM, "msg_1") in ids("responses.retrieve", ANSWER | {"background": True})


def test_other_creates_reveal_themselves_alone():
    assert ids("chat.create") == [(ObjectKind.CHAT_COMPLETION, "resp_1")]
    assert ids("conversations.create") == [(ObjectKind.CONVERSATION, "resp_1")]


@pytest.mark.parametrize("name", [e.name for e in ENDPOINTS if e.lists_items])
def test_a_page_of_items_reveals_these(name):
    answer = {name: value for name, value in ANSWER.items() if name != "output"}
    assert ids(name, answer) == [(ObjectKind.ITEM, "item_1")]


@pytest.mark.parametrize("name", ["responses.create", "chat.create", "responses.compact"])
def test_what_is_not_kept_reveals_nothing(name):
    assert ids(name, stores=False) == []


@pytest.mark.parametrize("name", ["messages.create", "messages.count_tokens"])
def test_what_makes_no_object_reveals_nothing(name):
    assert ids(name) == []


@pytest.mark.parametrize(
    "answer", [{}, {"id": 5}, {"id": ""}, {"id": "x" * 513}, {"output": "x"}, {"output": {"id": "a"}}]
)
def test_odd_answers_reveal_what_can_be_kept(answer):
    assert ids("responses.create", answer) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"x", b'{"id":', b"[" * 9999, b"\xff", b"<html>"])
def test_what_is_no_object_tells_nothing(body):
    assert read(body) is None


def test_the_models_name_is_changed_at_the_top_and_one_level_down_and_nowhere_else():
    body = b'{"a":1.10,"model":"x","response":{"model":"x","output":[{"model":"x"}]},"message":"model","z":9007199254740993}'
    told = with_model(body, "naïve")
    assert told == body.replace(b'"model":"x"', '"model":"naïve"'.encode()).replace(
        '[{"model":"naïve"}]'.encode(), b'[{"model":"x"}]'
    )


@pytest.mark.parametrize("body", [b'{"id":"\xff"}', b'{"usage":{"input_tokens":1,"\xff":2}}'])
def test_what_is_no_text_is_no_answer(body):
    assert read(body) is None
