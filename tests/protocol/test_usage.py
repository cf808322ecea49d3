"""Usage of every provider's shape comes out in one normal form; what can't be true is never counted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.endpoints import Shape
from app.protocol.tally import TOKENS_MAX
from app.protocol.usage import UNKNOWN, UsageState, from_events, from_object

REPORTED, PARTIAL, NOTHING = UsageState.REPORTED, UsageState.PARTIAL, UsageState.UNKNOWN


def responses(total, output, cached=None, thought=None):
    raw = {"input_tokens": total, "output_tokens": output, "total_tokens": 0}
    raw |= {} if cached is None else {"input_tokens_details": {"cached_tokens": cached}}
    return raw | ({} if thought is None else {"output_tokens_details": {"reasoning_tokens": thought}})


def chat(total, output, **more):
    return {"prompt_tokens": total, "completion_tokens": output, "total_tokens": 0} | more


def messages(fresh, output, read=None, written=None, **more):
    raw = {"input_tokens": fresh, "output_tokens": output} | more
    raw |= {} if read is None else {"cache_read_input_tokens": read}
    return raw | ({} if written is None else {"cache_creation_input_tokens": written})


# What was said, then: state, fresh input, cache read, written for 5 minutes, for an hour, output, reasoning.
TABLE = {
    "responses": (responses(10, 5, 0, 0), REPORTED, 10, 0, None, None, 5, 0),
    "responses, cached": (responses(100, 5, 64), REPORTED, 36, 64, None, None, 5, None),
    "responses, all cached": (responses(100, 5, 100), REPORTED, 0, 100, None, None, 5, None),
    "responses, reasoning": (responses(10, 50, 0, 40), REPORTED, 10, 0, None, None, 50, 40),
    "responses without details": (responses(10, 5), REPORTED, 10, None, None, None, 5, None),
    "responses with null details": (
        responses(10, 5) | {"input_tokens_details": None},
        REPORTED, 10, None, None, None, 5, None,
    ),
    "input tokens alone": ({"input_tokens": 7}, REPORTED, 7, None, None, None, None, None),
    "more cached than there was": (responses(10, 5, 11), PARTIAL, 0, 10, None, None, 5, None),
    "chat": (chat(10, 5), REPORTED, 10, None, None, None, 5, None),
    "chat, cached": (
        chat(10, 5, prompt_tokens_details={"cached_tokens": 4, "audio_tokens": 0}),
        REPORTED, 6, 4, None, None, 5, None,
    ),
    "chat, reasoning": (
        chat(10, 50, completion_tokens_details={"reasoning_tokens": 40, "accepted_prediction_tokens": 0}),
        REPORTED, 10, None, None, None, 50, 40,
    ),
    "chat without an answer": (chat(10, 0), REPORTED, 10, None, None, None, 0, None),
    "chat of a local server": ({"prompt_tokens": 3, "total_tokens": 3}, REPORTED, 3, None, None, None, None, None),
    "messages": (messages(10, 5, 0, 0), REPORTED, 10, 0, 0, None, 5, None),
    "messages, cache read": (messages(10, 5, 1000, 0), REPORTED, 10, 1000, 0, None, 5, None),
    "messages, cache written": (messages(10, 5, 0, 500), REPORTED, 10, 0, 500, None, 5, None),
    "messages, written for an hour": (
        messages(10, 5, 0, 500, cache_creation={"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 300}),
        REPORTED, 10, 0, 200, 300, 5, None,
    ),
    "messages, more for an hour than written": (
        messages(10, 5, 0, 100, cache_creation={"ephemeral_1h_input_tokens": 300}),
        PARTIAL, 10, 0, 0, 100, 5, None,
    ),
    "messages of an older server": (messages(10, 5), REPORTED, 10, None, None, None, 5, None),
    "messages, null caches": (
        messages(10, 5) | {"cache_read_input_tokens": None, "cache_creation_input_tokens": None},
        REPORTED, 10, None, None, None, 5, None,
    ),
    "a negative count": (responses(-1, 5), PARTIAL, None, None, None, None, 5, None),
    "too large a count": (responses(10, TOKENS_MAX + 1), PARTIAL, 10, None, None, None, None, None),
    "the largest count": (responses(10, TOKENS_MAX), REPORTED, 10, None, None, None, TOKENS_MAX, None),
    "a count that is a text": (responses("10", 5), PARTIAL, None, None, None, None, 5, None),
    "a count that is a fraction": (responses(10.5, 5), PARTIAL, None, None, None, None, 5, None),
    "a count that is a flag": (responses(True, 5), PARTIAL, None, None, None, None, 5, None),
    "a negative detail": (responses(10, 5, -4), PARTIAL, 10, None, None, None, 5, None),
    "no count that can be": (responses(-1, "x"), NOTHING, None, None, None, None, None, None),
    "nothing known": ({"tokens": 5}, NOTHING, None, None, None, None, None, None),
    "an empty object": ({}, NOTHING, None, None, None, None, None, None),
    "null": (None, NOTHING, None, None, None, None, None, None),
    "a list": ([1], NOTHING, None, None, None, None, None, None),
    "a number": (5, NOTHING, None, None, None, None, None, None),
}  # fmt: skip


def counts(usage):
    return (usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.output, usage.reasoning)


@pytest.mark.parametrize("name", TABLE)
def test_usage_in_normal_form(name):
    raw, state, *expected = TABLE[name]
    usage = from_object(raw)
    assert (usage.state, counts(usage)) == (state, tuple(expected))
    assert usage.raw == (raw if isinstance(raw, dict) and raw else None)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row[1] is REPORTED])
def test_usage_of_an_answer_that_was_cut_is_partial(name):
    raw, _, *expected = TABLE[name]
    usage = from_object(raw, whole=False)
    assert (usage.state, counts(usage)) == (PARTIAL, tuple(expected))


@pytest.mark.acceptance("K-4")
@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5) | st.booleans(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "input_tokens",
                        "output_tokens",
                        "prompt_tokens",
                        "cached_tokens",
                        "input_tokens_details",
                        "cache_read_input_tokens",
                        "cache_creation",
                        "cache_creation_input_tokens",
                        "ephemeral_1h_input_tokens",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
    )
)
def test_no_object_makes_a_count_below_zero_or_beyond_belief(raw):
    for count in counts(from_object(raw)):
        assert count is None or 0 <= count <= TOKENS_MAX


def event(data, name=""):
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def test_the_usage_of_a_responses_stream_is_in_its_last_event():
    tail = event({"type": "response.output_text.delta", "delta": '"usage":{"input_tokens":99}'})
    tail += event({"type": "response.completed", "response": {"usage": responses(10, 5, 4)}})
    assert counts(from_events(b"", tail, shape=Shape.RESPONSES, whole=True))[:2] == (6, 4)


def test_the_usage_of_a_chat_stream_is_in_the_last_chunk_that_has_one():
    tail = event({"choices": [], "usage": None}) + event({"choices": [], "usage": chat(3, 4)}) + b"data: [DONE]\n\n"
    usage = from_events(b"", tail, shape=Shape.CHAT, whole=True)
    assert (usage.state, usage.input, usage.output) == (REPORTED, 3, 4)


def test_the_usage_of_a_messages_stream_is_told_in_two_parts():
    head = event({"type": "message_start", "message": {"usage": messages(10, 1, 7, 0)}}, "message_start")
    tail = event({"type": "message_delta", "usage": {"output_tokens": 42}}, "message_delta")
    usage = from_events(head, tail, shape=Shape.MESSAGES, whole=True)
    assert counts(usage) == (10, 7, 0, None, 42, None)


def test_a_messages_stream_that_is_cut_early_has_what_its_start_told():
    head = event({"type": "message_start", "message": {"usage": messages(10, 1, 7, 0)}}, "message_start")
    usage = from_events(head, head, shape=Shape.MESSAGES, whole=False)
    assert (usage.state, usage.input) == (PARTIAL, 10)


@pytest.mark.parametrize("shape", [Shape.RESPONSES, Shape.CHAT, Shape.MESSAGES])
def test_a_stream_that_tells_nothing_is_unknown(shape):
    assert from_events(b"", b"", shape=shape, whole=False) == UNKNOWN
    assert from_events(b": ping\n\n", b'data: {"usage"\n\n', shape=shape, whole=True).state is NOTHING
