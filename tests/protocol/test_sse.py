"""Any cut of any bytes comes back as the same bytes, in whole events."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.sse import EventTooLargeError, Splitter, read, split

line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
fields = st.sampled_from(
    [b"data: x", b"data:y", b"event: response.created", b": ping", b"id: 1", "data: 漢字é".encode()]
)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    end = draw(line_ends)
    events = draw(st.lists(st.lists(fields, min_size=1, max_size=3), max_size=8))
    return b"".join(end.join(lines) + end + end for lines in events)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def feed_all(pieces: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = Splitter()
    return [block for block in map(splitter.feed, pieces) if block], splitter.rest


@pytest.mark.acceptance("G-1")
@given(st.one_of(st.binary(max_size=300), streams()), st.lists(st.integers(0, 300), max_size=20))
def test_no_byte_is_lost_or_changed_by_any_cut(data: bytes, places: list[int]) -> None:
    blocks, rest = feed_all(cut(data, places))
    assert b"".join(blocks) + rest == data


@given(st.text(alphabet="ab:\n\r", max_size=60).map(str.encode), st.lists(st.integers(0, 60), max_size=20))
def test_line_ends_in_any_mixture_survive_any_cut(data: bytes, places: list[int]) -> None:
    blocks, rest = feed_all(cut(data, places))
    assert b"".join(blocks) + rest == data


@given(streams(), st.lists(st.integers(0, 300), max_size=20))
def test_every_block_ends_where_an_event_ends(data: bytes, places: list[int]) -> None:
    blocks, rest = feed_all(cut(data, places))
    assert rest in {b"", b"\n"}
    for block in blocks:
        assert block.endswith((b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\n\r"))


@given(streams())
def test_a_whole_stream_given_at_once_comes_back_at_once(data: bytes) -> None:
    blocks, _ = feed_all([data])
    assert b"".join(blocks) == data


@given(streams(), st.lists(st.integers(0, 300), max_size=20))
def test_the_events_read_do_not_depend_on_the_cut(data: bytes, places: list[int]) -> None:
    blocks, rest = feed_all(cut(data, places))
    seen = [event for block in blocks for event in map(read, split(block)) if event != ("", b"")]
    assert seen + [e for e in map(read, split(rest)) if e != ("", b"")] == [
        event for event in map(read, split(data)) if event != ("", b"")
    ]


def test_data_lines_are_joined_and_one_space_is_dropped() -> None:
    assert read(b"event: x\r\ndata:  a\r\ndata:b\r\n\r\n") == ("x", b" a\nb")


@pytest.mark.acceptance("G-5")
def test_an_event_over_the_limit_is_refused() -> None:
    splitter = Splitter(limit=100)
    splitter.feed(b"data: " + b"x" * 90)
    with pytest.raises(EventTooLargeError):
        splitter.feed(b"x" * 20)
