"""Opening events are told from content, and an error in their place stands for its status, in every dialect."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.endpoints import Shape
from app.protocol.opening import Opening, hidden_error

R, C, M = Shape.RESPONSES, Shape.CHAT, Shape.MESSAGES


def event(data, name=""):
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def chunk(finish=None, **delta):
    return event({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


CREATED = event({"type": "response.created", "response": {"id": "resp_1", "error": None}}, "response.created")
START = event({"type": "message_start", "message": {}}, "message_start")
ROLE = chunk(role="assistant", content="")

HELD = [
    (R, CREATED),
    (R, event({"type": "response.created", "response": {}})),
    (R, CREATED + event({"type": "response.in_progress"}, "response.in_progress")),
    (R, CREATED.replace(b"\n", b"\r\n")),
    (M, START + event({"type": "ping"}, "ping")),
    (C, ROLE),
    (C, chunk(role="assistant", content=None, refusal=None, tool_calls=None)),
    (C, b": OPENROUTER PROCESSING\n\n" + ROLE),
    (R, b": ping\n\n"),
]
SHOWN = [
    (R, CREATED + event({"type": "response.output_item.added"}, "response.output_item.added")),
    (R, CREATED + event({"type": "response.completed"}, "response.completed")),
    (M, START + event({"type": "content_block_start"}, "content_block_start")),
    (C, ROLE + chunk(content="Hi")),
    (C, chunk(role="assistant", content="Hi")),
    (C, chunk(tool_calls=[{"index": 0}])),
    (C, chunk("stop")),
    (C, event("[DONE]")),
    (C, event({"choices": [], "usage": {}})),
    (C, event({"choices": 5})),
    (R, event("broken {")),
]
ERRORS = [
    (R, event({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, "error"), 429),
    (R, CREATED + event({"type": "error", "code": "server_error", "message": "m"}), 500),
    (R, event({"type": "response.failed", "response": {"error": {"code": "server_error"}}}, "response.failed"), 500),
    (R, event({"type": "response.failed", "response": {"error": {"code": "invalid_prompt"}}}), 400),
    (R, event({"type": "response.failed", "response": {}}, "response.failed"), 500),
    (R, event({"type": "error", "error": {"type": "invalid_request_error", "code": None}}, "error"), 400),
    (R, event({"type": "error", "code": "image_too_odd"}, "error"), 400),
    (M, START + event({"type": "error", "error": {"type": "overloaded_error"}}, "error"), 529),
    (M, event({"type": "error", "error": {"type": "api_error"}}, "error"), 500),
    (M, event({"type": "error", "error": {"type": "request_too_large"}}), 413),
    (C, event({"error": {"message": "m", "type": "requests", "code": "rate_limit_exceeded"}}), 429),
    (C, event({"error": {"message": "m", "code": 502, "metadata": {}}, "choices": []}), 502),
    (C, ROLE + event({"error": {"code": "insufficient_quota"}}), 429),
    (C, event({"error": {"message": "m"}}), 500),
    (C, event({"error": {"code": "something_new", "type": "invalid_request_error"}}), 400),
]


@pytest.mark.parametrize(("shape", "block"), HELD)
def test_opening_events_show_nothing_yet(shape, block):
    opening = Opening(shape)
    assert not opening.over(block)
    assert opening.error is None


@pytest.mark.parametrize(("shape", "block"), SHOWN)
def test_content_ends_the_opening(shape, block):
    opening = Opening(shape)
    assert opening.over(block)
    assert opening.error is None


@pytest.mark.parametrize(("shape", "block", "status"), ERRORS)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_an_error_stands_for_its_status(shape, block, status, newline):
    opening = Opening(shape)
    assert opening.over(block.replace(b"\n", newline))
    assert opening.error.status == status
    assert json.loads(opening.error.body)["error"]


def test_an_error_after_the_first_content_is_none_of_the_openings():
    opening = Opening(C)
    assert opening.over(chunk(content="Hi") + event({"error": {"code": "server_error"}}))
    assert opening.error is None


@given(st.binary(max_size=80), st.sampled_from([R, C, M]))
def test_no_block_is_too_odd(block, shape):
    Opening(shape).over(b"data: " + block + b"\n\n")


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text()))
def test_every_error_has_a_status(error):
    assert 400 <= hidden_error(error).status < 600
