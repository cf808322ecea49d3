"""Wires, plain and under TLS, against sockets of the standard library."""

import contextlib
import socket
import ssl
import threading
import time

import gevent
import pytest
import trustme

from app.relay.dial import open_wire
from app.relay.wire import WireError
from tests.live import free_port, until
from tests.relay.servers import until_closed

SAID = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(params=["plain", "tls"])
def connect(request, serve, authority, trusting):
    """Return what opens a wire to a scripted server, plain and under TLS."""
    wires = []

    def opened(*scripts):
        tls = None
        if request.param == "tls":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("localhost").configure_cert(tls)
        server = serve(*scripts, tls=tls)
        context = trusting if tls else None
        wires.append(open_wire(socket.AF_INET, ("127.0.0.1", server.port), context=context, host="localhost"))
        return server, wires[-1]

    yield opened
    for wire in wires:
        wire.close()


def read_to_end(wire):
    return b"".join(iter(wire.read, b""))


def test_what_is_written_arrives_and_what_is_sent_is_read(connect):
    server, wire = connect([b"hello"])
    wire.write(SAID)
    assert read_to_end(wire) == b"hello"
    assert server.seen == [SAID]


@pytest.mark.parametrize("size", [1, 65536, 3_000_000])
def test_any_amount_goes_both_ways(connect, size):
    payload = bytes(range(256)) * (size // 256 + 1)
    head = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(payload)
    server, wire = connect([payload])
    wire.write(head + payload)
    assert read_to_end(wire) == payload
    assert server.seen == [head + payload]


def test_it_tells_whether_a_read_had_to_wait(connect):
    _, wire = connect([lambda sock: (time.sleep(0.2), sock.sendall(b"now"), time.sleep(0.2), sock.sendall(b"later"))])
    wire.write(SAID)
    assert (wire.read(), wire.waited) == (b"now", True)
    assert (wire.read(), wire.waited) == (b"later", True)


def test_read_now_never_waits(connect):
    _, wire = connect([until_closed])
    wire.write(SAID)
    assert wire.read_now() is None


def test_a_quiet_wire_is_usable_and_an_ended_or_talking_one_is_not(connect):
    _, quiet = connect([until_closed])
    quiet.write(SAID)
    assert quiet.usable()
    for script in ([b""], [lambda sock: (sock.sendall(b"!"), until_closed(sock))]):
        _, wire = connect(script)
        wire.write(SAID)
        until(lambda wire=wire: gevent.sleep(0.001) or not wire.usable())  # the loop tells of what came


@pytest.mark.parametrize("late", [True, False])
def test_abort_wakes_a_reader(connect, late):
    _, wire = connect([until_closed])
    wire.write(SAID)
    if late:
        gevent.spawn_later(0.05, wire.abort)
    else:
        wire.abort()
    with gevent.Timeout(2):
        with contextlib.suppress(WireError):
            assert wire.read() == b""


def test_abort_wakes_a_writer(connect):
    stop = threading.Event()
    _, wire = connect([lambda _: stop.wait(5)])
    wire.write(SAID)
    gevent.spawn_later(0.05, wire.abort)
    with gevent.Timeout(2), pytest.raises(WireError):
        while True:
            wire.write(b"x" * 1_000_000)
    stop.set()


def test_a_reset_is_a_wire_error(connect):
    def reset(sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()

    _, wire = connect([reset])
    wire.write(SAID)
    with pytest.raises(WireError):
        read_to_end(wire)


def test_where_nobody_listens_is_a_wire_error():
    with pytest.raises(WireError, match="refused"):
        open_wire(socket.AF_INET, ("127.0.0.1", free_port()))


# -- TLS alone


def tls_server(serve, authority, *names, **more):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **more).configure_cert(context)
    return serve([b"hello"], tls=context)


def test_a_certificate_for_another_host_is_refused(serve, authority, trusting):
    server = tls_server(serve, authority, "elsewhere.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        open_wire(socket.AF_INET, ("127.0.0.1", server.port), context=trusting, host="localhost")


def test_a_certificate_of_an_unknown_authority_is_refused(serve, trusting):
    server = tls_server(serve, trustme.CA(), "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        open_wire(socket.AF_INET, ("127.0.0.1", server.port), context=trusting, host="localhost")


def test_a_plain_server_is_no_tls_server(serve, trusting):
    server = serve([b""])
    with pytest.raises((ssl.SSLError, WireError)):
        open_wire(socket.AF_INET, ("127.0.0.1", server.port), context=trusting, host="localhost")


def test_a_tls_connection_that_ends_without_a_goodbye_is_an_error(serve, authority, trusting):
    """Without one, a cut can't be told from the end of a body of no stated length."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    def cut(sock):
        sock.sendall(b"half")
        socket.socket.shutdown(sock, socket.SHUT_RDWR)

    server = serve([cut], tls=context)
    wire = open_wire(socket.AF_INET, ("127.0.0.1", server.port), context=trusting, host="localhost")
    wire.write(SAID)
    assert wire.read() == b"half"
    with pytest.raises(WireError):
        wire.read()
    wire.close()
