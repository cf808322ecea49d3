"""The stream: whatever the cuts of the upstream, whole events and the same bytes come out, up to the terminal event."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME, ObjectKind
from app.protocol.record import End
from app.protocol.story import STORIES
from app.relay.stream import Stream
from app.relay.watch import Live, Watch
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
    status = 200

    def __init__(self, *pieces):
        self.left = [piece for piece in pieces if piece]

    def read(self):
        return self.left.pop(0) if self.left else b""

    read_now = read

    def close(self):
        pass


class Kept:
    """A trace and a ledger in one: what was settled, and after how many bytes."""

    def __init__(self):
        self.settled = None
        self.bytes = 0

    def sent(self, block):
        self.bytes += len(block)

    def settle(self, end, **_):
        self.settled = self.settled or (end, self.bytes)


def spelled(name, style):
    return b"".join(map(STYLES[style].render, STREAMS[name]))


def iterated(stream):
    yield from stream


def pumped(stream):
    """As a pump asks for it."""
    while not stream.over:
        block = stream.confirm(stream.advance())
        if block:
            yield block


def told(name, *pieces, server=iterated, error=False):
    """What the client gets of the upstream's, block by block, and how the stream ended (None: with an error event)."""
    call = Call(id="1", request_id="1", endpoint=BY_NAME[name], caller=CALLER, stream=True)
    story, kept = STORIES[call.endpoint.shape](call), Kept()
    live = Live(None, write_s=60, total_s=60)
    stream = Stream(
        call, Cuts(*pieces), story, registry=None, watch=Watch(write_s=60, total_s=60), live=live, trace=kept
    )
    blocks = list(server(stream))
    stream.close()
    assert kept.settled is not None
    if kept.settled[0] is not End.UPSTREAM_CUT:
        return blocks, kept.settled[0]
    assert b'"error"' in blocks[-1] or b"event: error" in blocks[-1]
    return blocks if error else blocks[:-1], None


@kinds
@styles
def test_a_pump_gets_what_an_iterating_server_gets(name, style):
    data = spelled(name, style)
    for cut in range(0, len(data), 7):
        for pieces in ((data[:cut], data[cut:]), (data[:cut],)):
            assert told(name, *pieces, server=pumped) == told(name, *pieces)


@kinds
def test_a_call_is_settled_before_its_last_event_goes_out(name):
    call = Call(id="1", request_id="1", endpoint=BY_NAME[name], caller=CALLER, stream=True)
    kept, live = Kept(), Live(None, write_s=60, total_s=60)
    story = STORIES[call.endpoint.shape](call)
    watch = Watch(write_s=60, total_s=60)
    stream = Stream(call, Cuts(spelled(name, "usual")), story, registry=None, watch=watch, live=live, trace=kept)
    assert kept.settled is None
    assert next(stream) == spelled(name, "usual")
    assert kept.settled is not None


@pytest.mark.parametrize("output", ["5", "true", '"x"', '{"id":"msg_1"}', '[5,{"id":[]}]', "null"])
def test_output_of_any_kind_is_passed_on(output):
    call = Call(id="1", request_id="1", endpoint=BY_NAME["responses.create"], caller=CALLER, stream=True, stores=True)
    data = b'event: response.completed\ndata: {"response":{"id":"resp_1","output":%b}}\n\n' % output.encode()
    owned, kept, live = [], Kept(), Live(None, write_s=60, total_s=60)
    registry = SimpleNamespace(claim=lambda _call, _place, ids: owned.extend(ids))
    story, watch = STORIES[call.endpoint.shape](call), Watch(write_s=60, total_s=60)
    assert [*Stream(call, Cuts(data), story, registry=registry, watch=watch, live=live, trace=kept)] == [data]
    assert owned == [(ObjectKind.RESPONSE, "resp_1")]
    assert kept.settled == (End.COMPLETED, len(data))


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


@pytest.mark.acceptance("G-1")
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


@pytest.mark.acceptance("G-6")
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


@pytest.mark.parametrize("size", [10, 9_000, 100_000])
def test_a_cut_stream_goes_on_counting_from_its_last_event_however_long_that_is(size):
    last = b'{"type":"response.output_text.delta","delta":"%b","sequence_number":6}' % (b"x" * size)
    events = [*STREAMS["responses.create"][:2], Event(b"response.output_text.delta", last)]
    blocks, end = told("responses.create", b"".join(map(Style().render, events)), error=True)
    assert end is None
    assert b'"sequence_number":7' in blocks[-1]
