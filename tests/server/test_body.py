"""Bodies that come in parts, as an application reads them."""

import io
import socket

import gevent
import pytest

from app.relay.wire import Wire
from app.server.body import Body


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    wire = Wire(ours)
    yield wire, theirs
    wire.close()
    theirs.close()


def reader(wire, *, begun=b"", length, wait_s=2.0):
    return io.BufferedReader(Body(wire, begun=begun, length=length, wait_s=wait_s), 4096)


def test_it_is_read_whole_and_not_a_byte_further(pair):
    wire, client = pair
    body = reader(wire, begun=b"one ", length=11)
    sender = gevent.spawn(lambda: (client.sendall(b"two "), gevent.sleep(0.02), client.sendall(b"threeGET / HTTP")))
    assert body.read(100) == b"one two thr"
    sender.join()
    assert body.read() == b""
    assert wire.read_now() == b"eeGET / HTTP"


def test_it_can_be_asked_for_in_small_pieces(pair):
    wire, client = pair
    body = reader(wire, begun=b"ab", length=6)
    client.sendall(b"cdef")
    assert [body.read(1), body.read(3), body.read(9), body.read(1)] == [b"a", b"bcd", b"ef", b""]


def test_who_keeps_it_waiting_is_not_waited_for_for_ever(pair):
    wire, client = pair
    body = reader(wire, length=6, wait_s=0.1)
    client.sendall(b"ab")
    with pytest.raises(TimeoutError):
        body.read(6)


def test_a_client_that_leaves_ends_it(pair):
    wire, client = pair
    body = reader(wire, begun=b"a", length=6)
    client.sendall(b"b")
    client.shutdown(socket.SHUT_WR)
    assert body.read() == b"ab"
