"""A pump between two real sockets: what it may read, what it must wait for, and how it ends."""

import socket
from contextlib import ExitStack

import gevent
import gevent.event
import pytest

from app.protocol.call import Call, Caller, Place
from app.protocol.endpoints import BY_NAME
from app.protocol.story import STORIES
from app.relay.link import ClientLeftError
from app.relay.pump import LAST_CHUNK, Pump
from app.relay.stream import COMMENT, Stream
from app.relay.watch import Cut, Watch
from app.relay.wire import Wire

CALLER = Caller(user_id=1, token_id=1, owner_mark="mark")
CREATED = b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1"}}\n\n'
DONE = b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1"}}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


class Link:
    """An answer without framing: the bytes of its wire are the body."""

    waited = True
    holds_more = False
    status = 200
    place = Place(1, 1, "openai", "", "")

    def __init__(self, wire, live):
        self.wire = wire
        self.live = live

    def read_now(self):
        data = self.wire.read_now()
        if self.live.cut is not None:
            raise ClientLeftError
        return data

    def close(self):
        self.live.released()


class Registry:
    """Claims that wait until a test lets them through."""

    def __init__(self):
        self.asked = []
        self.free = gevent.event.Event()

    def claim(self, call, place, ids):
        self.asked.append(ids)
        self.free.wait(5)


class Trace:
    settled = False

    def sent(self, block):
        pass

    def settle(self, end, **_):
        self.settled = True


class Bench:
    """A pump with both its ends in a test's hands."""

    def __init__(self, stack, *, stores):
        self.upstream, source = pair(stack)
        self.client, outlet = pair(stack)
        self.watch = Watch(write_s=60, total_s=60)
        self.registry = Registry()
        self.trace = Trace()
        self.live = self.watch.enter(None)
        self.source = Wire(source)
        self.live(self.source)
        call = Call(id="1", request_id="1", endpoint=BY_NAME["responses.create"], caller=CALLER, stores=stores)
        stream = Stream(
            call,
            Link(self.source, self.live),
            STORIES[call.endpoint.shape](call),
            registry=self.registry,
            watch=self.watch,
            live=self.live,
            trace=self.trace,
        )
        self.ended = gevent.event.AsyncResult()
        self.pump = Pump(stream, self.source, Wire(outlet), head=HEAD, done=self.ended.set)

    def heard(self):
        gevent.sleep(0.02)
        try:
            return self.client.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return b""


def pair(stack):
    ours, theirs = socket.socketpair()
    stack.enter_context(ours)
    stack.enter_context(theirs)
    theirs.setblocking(False)
    return ours, theirs


@pytest.fixture
def bench(request):
    with ExitStack() as stack:
        yield Bench(stack, stores=getattr(request, "param", False))


def event(text):
    return b"data: " + text + b"\n\n"


def chunked(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def test_what_comes_goes_out_in_whole_events_with_the_head_before_it(bench):
    assert not bench.pump.start()
    assert bench.heard() == b""
    bench.upstream.sendall(event(b"one") + b"data: t")
    assert bench.heard() == HEAD + chunked(event(b"one"))
    bench.upstream.sendall(b"wo\n\n" + DONE)
    assert bench.heard() == chunked(event(b"two") + DONE) + LAST_CHUNK
    assert bench.ended.get(timeout=1).whole
    assert bench.trace.settled


def test_a_stream_that_is_there_already_is_over_at_once(bench):
    bench.upstream.sendall(event(b"one") + DONE)
    gevent.sleep(0.02)
    assert bench.pump.start()
    assert bench.pump.whole
    assert bench.heard() == HEAD + chunked(event(b"one") + DONE) + LAST_CHUNK
    assert not bench.ended.ready()


@pytest.mark.parametrize("bench", [True], indirect=True)
def test_an_id_is_shown_only_once_it_is_owned(bench):
    bench.upstream.sendall(CREATED)
    bench.pump.start()
    gevent.sleep(0.02)
    bench.upstream.sendall(event(b"one"))
    assert bench.heard() == b""
    assert [kind_and_id[0][1] for kind_and_id in bench.registry.asked] == ["resp_1"]
    bench.live.on_silence()
    assert bench.heard() == b""
    bench.registry.free.set()
    assert bench.heard() == HEAD + chunked(CREATED) + chunked(event(b"one"))


def test_a_client_that_does_not_read_holds_the_upstream_back(bench):
    bench.pump.start()
    bench.upstream.setblocking(False)
    piece = event(b"x" * 4000)
    sent, stuck = 0, 0
    while stuck < 5 and sent < 2000 * len(piece):
        try:
            sent += bench.upstream.send(piece)
            stuck = 0
        except BlockingIOError:
            stuck += 1
            gevent.sleep(0.01)
    assert sent < 2000 * len(piece)
    bench.live.on_silence()
    got = b""
    with gevent.Timeout(30):
        while len(got) < sent - 4100:
            got += bench.heard()
    assert COMMENT not in got


def test_silence_is_broken_by_a_heartbeat(bench):
    bench.pump.start()
    bench.live.on_silence()
    assert bench.heard() == HEAD + chunked(COMMENT)


def test_a_client_that_is_gone_ends_it(bench):
    bench.pump.start()
    bench.client.close()
    bench.upstream.sendall(event(b"one"))
    assert not bench.ended.get(timeout=1).whole
    assert bench.trace.settled
    assert not bench.watch.live


def test_a_call_that_is_cut_because_its_client_left_sends_nothing_more(bench):
    bench.pump.start()
    bench.upstream.sendall(event(b"one"))
    assert bench.heard()
    bench.live.cut = Cut.CLIENT_LEFT
    bench.source.abort()
    assert not bench.ended.get(timeout=1).whole
    assert bench.heard() == b""
