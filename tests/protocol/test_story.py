"""What a stream's story keeps of it for its end, however it comes."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import sse
from app.protocol.endpoints import Shape
from app.protocol.story import STORIES
from app.protocol.usage import UsageState
from bench.given import call

ENDPOINTS = {Shape.CHAT: "chat.create", Shape.RESPONSES: "responses.create", Shape.MESSAGES: "messages.create"}
USAGE = {"prompt_tokens": 25, "completion_tokens": 50, "total_tokens": 75}


def story(shape):
    return STORIES[shape](call(ENDPOINTS[shape], b'{"model":"gpt-5"}', stream=True))


def chunk(text="hello", **more):
    told = {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}], **more}
    return b"data: " + json.dumps(told).encode() + b"\n\n"


def usage_chunk(**more):
    return b"data: " + json.dumps({"id": "c", "choices": [], "usage": USAGE, **more}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("padding", [0, 1_000, 3_000, 9_000, 40_000])
def test_usage_is_known_however_long_the_chunk_that_tells_it(padding):
    """Some add what they searched to it; the end comes in a block of its own."""
    told = story(Shape.CHAT)
    for block in (chunk(), usage_chunk(citations="x" * padding), DONE):
        told.take(block)
    assert (told.usage().state, told.usage().output) == (UsageState.REPORTED, 50)


def test_usage_that_was_told_long_before_the_end_is_known():
    told = story(Shape.CHAT)
    told.take(usage_chunk())
    for _ in range(200):
        told.take(chunk())
    told.take(DONE)
    assert told.usage().output == 50


@given(
    texts=st.lists(st.text(max_size=400), min_size=1, max_size=40),
    cuts=st.lists(st.integers(min_value=1, max_value=9), max_size=40),
    null=st.booleans(),
)
def test_usage_is_the_same_however_the_events_come_together(texts, cuts, null):
    more = {"usage": None} if null else {}
    events = [*(chunk(text, **more) for text in texts), usage_chunk(), DONE]
    told = story(Shape.CHAT)
    while events:
        n = cuts.pop() if cuts else 1
        told.take(b"".join(events[:n]))
        events = events[n:]
    assert told.usage().input == 25
    assert told.usage().output == 50


@given(cuts=st.lists(st.integers(min_value=1, max_value=30), max_size=40), size=st.integers(0, 5_000))
def test_the_next_number_follows_the_last_event(cuts, size):
    events = [
        b"event: d\ndata: " + json.dumps({"type": "d", "sequence_number": n, "delta": "x" * size}).encode() + b"\n\n"
        for n in range(40)
    ]
    told = story(Shape.RESPONSES)
    while events:
        n = cuts.pop() if cuts else 1
        told.take(b"".join(events[:n]))
        events = events[n:]
    assert told.next_sequence() == 40


@pytest.mark.parametrize("size", [0, 1_500, 4_000, 20_000])
def test_the_next_number_follows_the_last_whole_event_where_one_was_cut(size):
    told = story(Shape.RESPONSES)
    for n in range(3):
        told.take(b'event: d\ndata: {"type":"d","sequence_number":%d}\n\n' % n)
    told.take_rest(b'event: response.completed\ndata: {"type":"response.completed","response":"' + b"x" * size)
    assert (told.end, told.next_sequence()) == (None, 3)


def test_usage_is_known_of_a_chunk_that_lacks_only_its_blank_line():
    told = story(Shape.CHAT)
    told.take(chunk())
    told.take_rest(usage_chunk()[:-2])
    assert told.end is None
    assert (told.usage().state, told.usage().output) == (UsageState.PARTIAL, 50)


def test_a_slow_stream_holds_little():
    stories = [story(Shape.CHAT) for _ in range(200)]
    tracemalloc.start()
    try:
        for number, each in enumerate(stories):
            for n in range(100 + number):
                each.take(chunk(f"hello number {n}"))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / len(stories) < 3_000


def test_a_long_block_is_not_kept_whole():
    told = story(Shape.CHAT)
    block = chunk() * 500
    assert told.take(block) == block
    assert sum(map(len, sse.split(told._tail))) < 9_000
