"""The watch over calls under way, on real sockets and in the hub's own time."""

import socket
import time

import gevent
import pytest

from app.relay.watch import SWEEP_S, Cut, Live, Watch
from app.relay.wire import Wire


@pytest.fixture
def watch():
    made = Watch(write_s=0.5, total_s=60)
    made.start()
    return made


@pytest.fixture
def pair():
    """A client's socket and the server's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with client, server:
        yield client, server


@pytest.fixture
def wire():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    made = Wire(ours)
    yield made
    made.close()
    theirs.close()


def soon(check, seconds=2.0):
    """Wait in the hub, which the watch lives in."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        gevent.sleep(0.01)
    return False


@pytest.mark.parametrize("unread", [b"", b"GET / HTTP/1.1\r\n\r\n"])
def test_a_client_that_leaves_is_noticed_and_its_wire_ends(watch, pair, wire, unread):
    client, server = pair
    live = watch.enter(server)
    live(wire)
    client.sendall(unread)
    gevent.sleep(0.02)
    assert live.cut is None
    reader = gevent.spawn(wire.read)
    client.close()
    assert soon(lambda: live.cut is Cut.CLIENT_LEFT)
    assert reader.get(timeout=1) == b""
    watch.leave(live)


def test_a_call_that_is_over_is_watched_no_more(watch, pair):
    client, server = pair
    live = watch.enter(server)
    watch.leave(live)
    client.close()
    gevent.sleep(0.05)
    assert live.cut is None
    assert not watch.live


def test_a_connection_can_be_watched_again(watch, pair):
    client, server = pair
    watch.leave(watch.enter(server))
    live = watch.enter(server)
    client.close()
    assert soon(lambda: live.cut is Cut.CLIENT_LEFT)


@pytest.mark.parametrize("reason", [Cut.FIRST_BYTE, Cut.IDLE])
def test_a_wait_that_lasts_too_long_is_cut_for_its_reason(watch, pair, wire, reason):
    live = watch.enter(pair[1])
    live(wire)
    live.waits_for_upstream(0.1, reason)
    with gevent.Timeout(2):
        assert wire.read() == b""
    assert live.cut is reason


def test_the_whole_call_has_its_limit_too(wire):
    watch = Watch(write_s=9, total_s=0.1)
    watch.start()
    live = watch.enter(None)
    live(wire)
    live.waits_for_upstream(60, Cut.IDLE)
    assert soon(lambda: live.cut is Cut.TOTAL)


@pytest.mark.parametrize("given_s", [0.1, 60])
def test_an_upstreams_own_limit_counts_in_the_place_of_the_calls(wire, given_s):
    watch = Watch(write_s=9, total_s=1)
    watch.start()
    live = watch.enter(None)
    live.attempts(given_s)
    live(wire)
    live.waits_for_upstream(30, Cut.IDLE)
    if given_s > 1:
        gevent.sleep(1 + 2 * SWEEP_S)
        assert live.cut is None
    else:
        assert soon(lambda: live.cut is Cut.ATTEMPT)
        assert live.retries()
    live.attempts(None)
    live.waits_for_upstream(30, Cut.IDLE)
    assert soon(lambda: live.cut is Cut.TOTAL)


def test_a_wire_that_comes_after_the_cut_ends_at_once(watch, pair, wire):
    live = watch.enter(pair[1])
    live.end(Cut.DRAIN)
    live(wire)
    with gevent.Timeout(1):
        assert wire.read() == b""


def test_a_wire_that_was_given_back_is_left_alone(watch, pair, wire):
    live = watch.enter(pair[1])
    live(wire)
    live.released()
    live.end(Cut.DRAIN)
    assert wire.usable()


def test_the_first_reason_stands(watch, pair):
    live = watch.enter(pair[1])
    live.end(Cut.IDLE)
    live.end(Cut.CLIENT_LEFT)
    assert live.cut is Cut.IDLE


def test_calls_made_for_another_end_with_it(watch, pair, wire):
    leader = watch.enter(pair[1])
    follower = watch.enter(None, leader=leader)
    follower(wire)
    pair[0].close()
    assert soon(lambda: follower.cut is Cut.CLIENT_LEFT)


def fill(server):
    server.setblocking(False)
    try:
        while True:
            server.send(bytes(65536))
    except BlockingIOError:
        pass


def test_a_reader_without_progress_is_cut_after_the_limit(watch, pair):
    _, server = pair
    fill(server)
    live = watch.enter(server)
    since = time.monotonic()
    live.waits_for_client()
    assert soon(lambda: live.cut is Cut.SLOW_READER, 3)
    assert 0.5 <= time.monotonic() - since <= 0.5 + 3 * SWEEP_S + 0.5


def test_a_reader_that_takes_something_gets_more_time(watch, pair):
    client, server = pair
    fill(server)
    live = watch.enter(server)
    live.waits_for_client()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        client.recv(1_000_000)
        fill(server)
        gevent.sleep(0.05)
        assert live.cut is None


def test_a_call_without_a_socket_is_swept_all_the_same():
    live = Live(None, write_s=0, total_s=60)
    live.waits_for_client()
    live.overdue(time.monotonic() + 1)
    assert live.cut is Cut.SLOW_READER
