"""One body out of a stream."""

import json

import pytest

from app.protocol.gather import Gathering


def event(name, **data):
    return f"event: {name}\ndata: {json.dumps({'type': name} | data)}\n\n".encode()


def item(index, text):
    return event("response.output_item.done", output_index=index, item={"id": text})


def gathered(*events):
    gathering = Gathering()
    ended = [gathering.take(each) for each in events]
    assert not any(ended[:-1])
    return gathering if ended[-1] else None


@pytest.mark.parametrize("name", ["response.completed", "response.incomplete", "response.cancelled"])
def test_the_terminal_event_holds_the_answer(name):
    answer = {"id": "r", "output": [{"id": "whole"}], "n": 1}
    found = gathered(event("response.created", response={"id": "r"}), item(0, "a"), event(name, response=answer))
    assert json.loads(found.body) == answer


@pytest.mark.parametrize("empty", [{"output": []}, {"output": None}, {}])
def test_an_empty_output_is_built_from_what_was_put_out_in_order(empty):
    found = gathered(
        item(2, "c"), item(0, "a"), item(1, "b"), event("response.completed", response={"id": "r"} | empty)
    )
    assert [each["id"] for each in json.loads(found.body)["output"]] == ["a", "b", "c"]


def test_failures_come_out_as_errors():
    failed = event("response.failed", response={"error": {"code": "rate_limit_exceeded"}})
    assert gathered(failed).error.status == 429
    assert gathered(event("error", code="server_error", message="m")).error.status == 500


@pytest.mark.acceptance("G-4")
def test_words_in_a_text_are_no_end():
    delta = event("response.output_text.delta", delta='"response.completed" error response.failed')
    assert gathered(delta, b": ping\n\n", b"data: junk\n\n") is None


def test_what_follows_the_end_in_the_same_block_is_not_looked_at():
    both = event("response.completed", response={"id": "r"}) + event("error", code="server_error")
    assert gathered(both).error is None
