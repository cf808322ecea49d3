"""Every error in every dialect has its whole shape, and no text of anybody's breaks out of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import sse
from app.protocol.endpoints import ObjectKind, Protocol, Shape
from app.protocol.errors import OBJECT_ID_SHOWN, Problem, RelayError, frame, not_found, render

STREAMS = [Shape.RESPONSES, Shape.CHAT, Shape.MESSAGES]
OPENAI_TYPES = {
    "invalid_request_error",
    "permission_error",
    "rate_limit_error",
    "insufficient_quota",
    "not_supported_error",
    "server_error",
}
ANTHROPIC_TYPES = {
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "overloaded_error",
    "timeout_error",
}
"""What each provider's clients know (api.md, 7)."""
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["\n\ndata: x", "\r\n\r\nevent: response.completed", "\u2028", "\x00", '"}}', "\\"]
)


@pytest.mark.acceptance("H-1")
@pytest.mark.parametrize("problem", Problem)
def test_an_error_has_its_whole_shape_in_both_dialects(problem):
    error = RelayError(problem, "It went wrong.", param="p")
    told = json.loads(render(error, Protocol.OPENAI, "req_1"))
    row = problem.value
    assert told == {"error": {"message": "It went wrong.", "type": row.type, "param": "p", "code": row.code}}
    assert row.type in OPENAI_TYPES
    told = json.loads(render(error, Protocol.ANTHROPIC, "req_1"))
    assert told == {
        "type": "error",
        "error": {"type": row.anthropic, "message": "It went wrong."},
        "request_id": "req_1",
    }
    assert row.anthropic in ANTHROPIC_TYPES


OTHERWISE = {Problem.INSUFFICIENT_QUOTA: 402}


@pytest.mark.parametrize("problem", Problem)
def test_an_error_has_one_status_but_for_two_that_anthropic_clients_know_by_another(problem):
    error = RelayError(problem, "x")
    status = problem.value.status
    assert 400 <= status < 600
    assert error.status(Protocol.OPENAI) == status
    assert error.status(Protocol.ANTHROPIC) == OTHERWISE.get(problem, 529 if status == 503 else status)
    assert error.code == problem.value.code


@pytest.mark.acceptance("G-3")
@pytest.mark.parametrize("shape", STREAMS)
@given(message=texts, request_id=texts, param=st.none() | texts, sequence=st.integers(0, 10**9))
def test_an_error_in_a_stream_is_one_event_whatever_its_words(shape, message, request_id, param, sequence):
    error = RelayError(Problem.UPSTREAM, message, param=param)
    block = frame(error, shape, request_id, sequence=sequence)
    (event,) = sse.split(block)
    name, data = sse.read(event)
    told = json.loads(data)
    assert block.endswith(b"\n\n")
    assert name == ("" if shape is Shape.CHAT else "error")
    if shape is Shape.RESPONSES:
        assert told.pop("message") == f"{message} (request id: {request_id})"
        assert told == {"type": "error", "code": "upstream_error", "param": param, "sequence_number": sequence}
    elif shape is Shape.CHAT:
        assert told["error"]["message"] == f"{message} (request id: {request_id})"
        assert set(told["error"]) == {"message", "type", "param", "code"}
    else:
        assert told["error"] == {"type": "api_error", "message": message}
        assert told["request_id"] == request_id


@pytest.mark.parametrize("kind", ObjectKind)
def test_not_found_is_one_answer_for_each_kind_that_differs_by_the_id_alone(kind):
    one, other = not_found(kind, "a"), not_found(kind, "b")
    assert (one.problem, one.param) == (other.problem, "id")
    assert one.problem.value.status == 404
    assert one.message.replace("'a'", "'b'") == other.message
    assert len({not_found(k, "a").problem for k in ObjectKind}) == len(ObjectKind)


def test_a_long_id_is_cut_where_it_is_shown():
    assert len(not_found(ObjectKind.RESPONSE, "x" * 100_000).message) < OBJECT_ID_SHOWN + 50
