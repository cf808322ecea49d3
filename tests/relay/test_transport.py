"""The transport adapter: which connections are used again, which never, and what goes out on them."""

import gc
import time
from contextlib import contextmanager, nullcontext

import gevent
import pytest

from app.relay import transport
from app.relay.answer import BrokenAnswerError
from app.relay.dial import open_wire
from app.relay.transport import Origin, RelayAdapter, RelayRequest, locate
from app.relay.wire import WireError
from tests.live import until
from tests.relay.servers import OK, chunked, until_closed
from tests.watched import descriptors

STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def adapter():
    made = RelayAdapter(lambda origin, _: open_wire(2, ("127.0.0.1", origin.port)))
    yield made
    made.close()


def send(adapter, server, path="/v1/x", *, method="POST", body=b"{}", **headers):
    request = RelayRequest(method, f"{server.url}{path}", headers=headers, body=body, proxy=None)
    return adapter.send(request)


@contextmanager
def sweeping(adapter):
    sweep = gevent.spawn(adapter.sweep_for_ever)
    try:
        yield
    finally:
        sweep.kill()


def whole(adapter, server, **more):
    response = send(adapter, server, **more)
    body = response.raw.read()
    response.raw.close()
    return response.status_code, body


def test_a_connection_is_used_again(adapter, serve):
    server = serve([OK] * 5)
    assert [whole(adapter, server) for _ in range(5)] == [(200, b"ok")] * 5
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison",
        OK + b"junk",
    ],
)
def test_a_connection_that_may_not_be_used_again_is_not(adapter, serve, answer):
    server = serve([answer], [OK])
    whole(adapter, server)
    assert whole(adapter, server) == (200, b"ok")
    assert server.connections == 2


def test_a_stream_given_up_is_never_pooled(adapter, serve):
    server = serve([lambda sock: (sock.sendall(STREAM + b"5\r\nhello\r\n"), until_closed(sock))], [OK])
    response = send(adapter, server)
    assert response.raw.read1() == b"hello"
    response.raw.close()
    assert whole(adapter, server) == (200, b"ok")
    assert server.connections == 2


def test_a_stream_read_to_its_end_is_pooled(adapter, serve):
    server = serve([STREAM + chunked(b"one", b"two"), OK])
    assert whole(adapter, server) == (200, b"onetwo")
    assert whole(adapter, server) == (200, b"ok")
    assert server.connections == 1


def test_a_reused_connection_that_died_is_replaced_once(adapter, serve):
    """The server hangs up on the second request, as one does whose patience has just ended."""
    server = serve([OK, lambda _: None], [OK])
    assert whole(adapter, server) == (200, b"ok")
    assert whole(adapter, server) == (200, b"ok")
    assert (server.connections, len(server.seen)) == (2, 3)


@pytest.mark.parametrize(("method", "again"), [("POST", False), ("GET", True), ("DELETE", True)])
def test_what_its_server_may_have_begun_is_sent_again_only_where_that_does_no_harm(
    adapter, serve, monkeypatch, method, again
):
    """A server that dies after a while had the request, and may be paid for what it made of it."""
    monkeypatch.setattr(transport, "CROSSED_S", 0.1)
    server = serve([OK, lambda _: time.sleep(0.3)], [OK])
    whole(adapter, server)
    with nullcontext() if again else pytest.raises(WireError):
        assert whole(adapter, server, method=method, body=b"") == (200, b"ok")
    assert server.connections == 1 + again


def test_a_fresh_connection_that_dies_is_not_tried_again(adapter, serve):
    server = serve([lambda _: None])
    with pytest.raises(WireError):
        send(adapter, server)
    assert server.connections == 1


def test_an_answer_that_had_begun_is_never_asked_for_again(adapter, serve):
    server = serve([OK, b"HTTP/1.1 200"], [OK])
    whole(adapter, server)
    with pytest.raises(BrokenAnswerError):
        send(adapter, server)
    assert server.connections == 1


def test_a_call_that_was_cut_is_not_tried_again(adapter, serve):
    class Watcher:
        cut = None

        def __call__(self, wire):
            self.cut = "client_left"
            wire.abort()

    server = serve([OK, until_closed], [OK])
    whole(adapter, server)
    request = RelayRequest("POST", server.url, headers={}, body=b"{}", proxy=None)
    request.on_wire = Watcher()
    with pytest.raises(WireError):
        adapter.send(request)
    assert server.connections == 1


def test_a_connection_that_idled_too_long_is_not_used_again(adapter, serve, monkeypatch):
    server = serve([OK, OK])
    whole(adapter, server)
    later = time.monotonic() + transport.IDLE_S + 1
    monkeypatch.setattr(transport.time, "monotonic", lambda: later)
    whole(adapter, server)
    assert server.connections == 2


@pytest.mark.parametrize(
    ("idle_s", "further"), [(0.3, [until_closed]), (60, [])], ids=["unused", "ended by its server"]
)
def test_an_idle_connection_is_closed_though_no_call_comes(adapter, serve, monkeypatch, idle_s, further):
    monkeypatch.setattr(transport, "IDLE_S", idle_s)
    monkeypatch.setattr(transport, "SWEEP_S", 0.05)
    server = serve([OK, *further])
    gc.collect()  # what earlier tests left open is closed now, and not meanwhile
    opened = descriptors()
    with sweeping(adapter):
        assert whole(adapter, server) == (200, b"ok")
        until(lambda: gevent.sleep(0.01) or descriptors() <= opened)


def test_a_connection_that_idles_for_less_is_kept(adapter, serve, monkeypatch):
    monkeypatch.setattr(transport, "SWEEP_S", 0.01)
    server = serve([OK, OK])
    with sweeping(adapter):
        for _ in range(2):
            assert whole(adapter, server) == (200, b"ok")
            gevent.sleep(0.1)
    assert server.connections == 1


def test_origins_do_not_share_connections(adapter, serve):
    one, other = serve([OK] * 4), serve([OK] * 4)
    for server in (one, other, one, other):
        assert whole(adapter, server) == (200, b"ok")
    assert (one.connections, other.connections) == (1, 1)


def test_closing_ends_what_idles(adapter, serve):
    ended = []
    server = serve([OK, until_closed])
    whole(adapter, server)
    adapter.close()
    assert whole(adapter, serve([OK])) == (200, b"ok")
    until(lambda: server.connections == 1 and not ended)


# -- what goes out


def test_a_request_goes_out_as_it_is_and_with_no_header_of_its_own_making(adapter, serve):
    server = serve([OK])
    whole(adapter, server, path="/v1/a%20b?x=1&y=%2F", body=b'{"a":1}', authorization="Bearer k")
    head, _, body = server.seen[0].partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    assert first == b"POST /v1/a%20b?x=1&y=%2F HTTP/1.1"
    assert sorted(headers) == sorted(
        [
            b"host: localhost:%d" % server.port,
            b"accept-encoding: identity",
            b"authorization: Bearer k",
            b"content-length: 7",
        ]
    )
    assert body == b'{"a":1}'


def test_framing_headers_are_ours_alone(adapter, serve):
    server = serve([OK])
    framing = {"host": "evil", "Content-Length": "999", "transfer-encoding": "chunked", "connection": "close"}
    assert whole(adapter, server, **framing, **{"accept-encoding": "gzip"}) == (200, b"ok")
    head = server.seen[0].lower()
    assert b"evil" not in head
    assert b"gzip" not in head
    assert b"transfer-encoding" not in head
    assert head.count(b"content-length: 2\r\n") == 1


@pytest.mark.parametrize("junk", ["a\r\nx-evil: 1", "a\nb", "a\rb"])
def test_a_header_that_would_break_its_line_is_refused(adapter, serve, junk):
    server = serve([OK])
    for headers in ({"x-one": junk}, {junk: "one"}):
        with pytest.raises(ValueError, match="line break"):
            send(adapter, server, **headers)
    assert server.seen == []


@pytest.mark.acceptance("E-2")
@pytest.mark.parametrize("url", ["ftp://x/", "file:///etc/passwd", "//x/", "http://", "x", "http://x:99999/"])
def test_what_is_no_address_of_the_web_is_refused(url):
    with pytest.raises(ValueError):
        locate(url)


@pytest.mark.parametrize(
    ("url", "origin", "authority", "target"),
    [
        ("http://a/", Origin("http", "a", 80), "a", "/"),
        ("https://A.b", Origin("https", "a.b", 443), "a.b", "/"),
        ("https://a:8443/x?y=1", Origin("https", "a", 8443), "a:8443", "/x?y=1"),
        ("http://[::1]:80/x", Origin("http", "::1", 80), "[::1]", "/x"),
        ("http://user:pass@a/x", Origin("http", "a", 80), "a", "/x"),
    ],
)
def test_an_address_is_taken_apart(url, origin, authority, target):
    assert locate(url) == (origin, target)
    assert origin.authority == authority
