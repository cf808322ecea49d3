"""The tap: whatever the cuts of the upstream, whole events and the same bytes come out, up to the terminal event."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.errors import RelayError
from app.protocol.record import End
from app.protocol.story import STORIES
from app.relay.tap import Tap
from simulator.answer import Event
from simulator.plan import Style

STREAMS = {
    "responses.create": [
        Event(b"response.created", b'{"type":"response.created","response":{"id":"resp_1"},"sequence_number":0}'),
        Event(b"response.output_text.delta", '{"type":"response.output_text.delta","delta":"héllo [DONE]"}'.encode()),
        Event(b"response.completed", b'{"type":"response.completed","response":{"id":"resp_1"},"sequence_number":2}'),
    ],
    "chat.create": [
        Event(b"", b'{"id":"chatcmpl-1","choices":[{"delta":{"content":"data: [DONE]"}}]}'),
        Event(b"", '{"id":"chatcmpl-1","choices":[{"delta":{"content":"\u2028 \\"error\\": 1"}}]}'.encode()),
        Event(b"", b"[DONE]"),
    ],
    "messages.create": [
        Event(b"message_start", b'{"type":"message_start","message":{"usage":{"input_tokens":1}}}'),
        Event(b"content_block_delta", b'{"type":"content_block_delta","delta":{"text":"event: message_stop"}}'),
        Event(b"message_stop", b'{"type":"message_stop"}'),
    ],
}
STYLES = {
    "usual": Style(),
    "crlf": Style(newline=b"\r\n"),
    "cr": Style(newline=b"\r"),
    "pretty": Style(pretty=True),
    "comments": Style(comments=True),
    "crlf comments": Style(newline=b"\r\n", comments=True),
    "bare": Style(named=False, space=b""),
}
kinds = pytest.mark.parametrize("name", STREAMS)
styles = pytest.mark.parametrize("style", STYLES)
CALLER = Caller(user_id=1, token_id=1, owner_mark="mark")


class Cuts:
    """A link whose reads are exactly these pieces; `left` holds what was not asked for."""

    waited = True
    place = None

    def __init__(self, *pieces):
        self.left = [piece for piece in pieces if piece]

    def read(self):
        return self.left.pop(0) if self.left else b""


def spelled(name, style):
    return b"".join(map(STYLES[style].render, STREAMS[name]))


def told(name, *pieces):
    """What the client gets, block by block, and how the stream ended."""
    call = Call(id="1", request_id="1", endpoint=BY_NAME[name], caller=CALLER, stream=True)
    story = STORIES[call.endpoint.shape](call)
    blocks = []
    try:
        for block in Tap(None, None, None)._blocks(call, Cuts(*pieces), story):
            blocks.append(block)
            if story.end is not None:  # nobody asks for more
                break
    except RelayError:
        assert story.end is None
    return blocks, story.end


@kinds
@styles
def test_a_stream_cut_in_two_anywhere_is_the_same(name, style):
    data = spelled(name, style)
    for cut in range(len(data)):
        blocks, end = told(name, data[:cut], data[cut:])
        assert (b"".join(blocks), end) == (data, End.COMPLETED), cut


@kinds
@styles
def test_a_stream_that_comes_byte_by_byte_is_the_same_and_in_whole_events(name, style):
    data = spelled(name, style)
    blocks, end = told(name, *(data[at : at + 1] for at in range(len(data))))
    assert (b"".join(blocks), end) == (data, End.COMPLETED)
    assert len(blocks) >= len(STREAMS[name])


@kinds
@styles
@given(cuts=st.lists(st.integers(1, 60), max_size=40))
def test_a_stream_cut_many_times_anywhere_is_the_same(name, style, cuts):
    data, pieces = spelled(name, style), []
    rest = data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    blocks, end = told(name, *pieces, rest)
    assert (b"".join(blocks), end) == (data, End.COMPLETED)


@kinds
@styles
def test_a_stream_that_stops_anywhere_has_no_good_end(name, style):
    """Cut before its last event has all of its data: what was sent is a beginning of it, in whole events."""
    data = spelled(name, style)
    last = len(STYLES[style].render(STREAMS[name][-1]))
    for cut in range(len(data) - last):
        blocks, end = told(name, data[:cut])
        assert end is None
        assert data.startswith(b"".join(blocks))


@kinds
def test_what_follows_the_terminal_event_is_not_sent(name):
    data = spelled(name, "usual")
    for more in (data, b"data: {}\n\n", b": ping\n\n"):
        assert told(name, data + more) == ([data], End.COMPLETED)
        blocks, _ = told(name, data, more)
        assert b"".join(blocks) == data
