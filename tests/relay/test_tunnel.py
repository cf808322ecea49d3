"""The dialogues with proxies: whatever one says, the way is open exactly when it said so, and nothing else is taken."""

import socket

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocol.proxy import Proxy
from app.relay.tunnel import HEAD_MAX, TunnelError, open_tunnel
from app.relay.wire import Wire, WireError

HTTP, SOCKS = Proxy("http", "p", 1), Proxy("socks5", "p", 1)
OPEN = b"HTTP/1.1 200 Connection established\r\nvia: x\r\n\r\n"
GRANTED = b"\5\0\0\1\0\0\0\0\0\0"
NAMED = b"\5\0\0\3\5tests\0\0"


def ask(proxy, answer, *, host="api.example.com", ended=True):
    """Ask a proxy that answers so; return what it was sent, or raise what comes of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(answer)
        if ended:
            theirs.shutdown(socket.SHUT_WR)
        wire = Wire(ours)
        try:
            with gevent.Timeout(5):
                open_tunnel(wire, proxy, host=host, port=443)
            left = wire.read_now()
            assert not left, "a byte of the upstream's was taken for the proxy's, or left behind by it"
        finally:
            wire.let_go()
        theirs.setblocking(False)
        return theirs.recv(65536)


def with_login(proxy):
    return Proxy(proxy.scheme, proxy.host, proxy.port, "user:geheim")


@pytest.mark.parametrize(
    "answer", [OPEN, b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 201 \r\n\r\n", b"HTTP/1.1 200\r\n\r\n"]
)
def test_connect_opens_a_way(answer):
    said = ask(HTTP, answer)
    assert said == b"CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com:443\r\n\r\n"


def test_connect_tells_who_we_are_only_where_we_are_somebody():
    assert b"\r\nproxy-authorization: Basic dXNlcjpnZWhlaW0=\r\n" in ask(with_login(HTTP), OPEN)
    assert b"proxy-authorization" not in ask(HTTP, OPEN)


def test_an_address_of_the_sixth_version_has_brackets():
    assert ask(HTTP, OPEN, host="2001:db8::1").startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n")


@pytest.mark.parametrize("answer", [b"\5\0" + GRANTED, b"\5\0" + NAMED, b"\5\0\5\0\0\4" + bytes(18)])
def test_socks_opens_a_way_and_leaves_the_name_to_the_proxy(answer):
    assert ask(SOCKS, answer) == b"\5\1\0" + b"\5\1\0\3\x0fapi.example.com\x01\xbb"


@pytest.mark.parametrize(
    ("host", "named"), [("192.0.2.7", b"\1\xc0\0\2\7"), ("2001:db8::1", b"\4\x20\x01\x0d\xb8" + bytes(11) + b"\1")]
)
def test_socks_is_told_an_address_as_one(host, named):
    assert ask(SOCKS, b"\5\0" + GRANTED, host=host).endswith(b"\5\1\0" + named + b"\x01\xbb")


def test_socks_tells_who_we_are_when_it_is_asked():
    assert b"\1\4user\6geheim" in ask(with_login(SOCKS), b"\5\2\1\0" + GRANTED)
    assert b"geheim" not in ask(with_login(SOCKS), b"\5\0" + GRANTED)


@pytest.mark.parametrize(
    ("proxy", "answer", "reason"),
    [
        (HTTP, b"HTTP/1.1 407 Who\r\n\r\n", "proxy_login"),
        (HTTP, b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "proxy_failed"),
        (HTTP, b"HTTP/1.1 302 Elsewhere\r\nlocation: http://evil\r\n\r\n", "proxy_failed"),
        (HTTP, b"HTTP/1.1 100 Go on\r\n\r\n" + OPEN, "proxy_failed"),
        (HTTP, OPEN + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "proxy_failed"),
        (HTTP, OPEN + b"\0", "proxy_failed"),
        (HTTP, b"HTTP/1.1 200 OK\n\n", "proxy_failed"),
        (HTTP, b"SSH-2.0-x\r\n\r\n", "proxy_failed"),
        (HTTP, b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "proxy_failed"),
        (HTTP, b"HTTP/2 200\r\n\r\n", "proxy_failed"),
        (HTTP, b"HTTP/1.1 200 OK\r\nx: " + b"y" * HEAD_MAX, "proxy_failed"),
        (HTTP, b"", "proxy_failed"),
        (SOCKS, b"\5\xff", "proxy_login"),
        (SOCKS, b"\5\2", "proxy_login"),
        (SOCKS, b"\5\1", "proxy_failed"),
        (SOCKS, b"\4\0", "proxy_failed"),
        (SOCKS, b"\5\0\5\5\0\1" + bytes(6), "proxy_failed"),
        (SOCKS, b"\5\0\5\x63\0\1" + bytes(6), "proxy_failed"),
        (SOCKS, b"\5\0\4\0\0\1" + bytes(6), "proxy_failed"),
        (SOCKS, b"\5\0\5\0\0\7" + bytes(6), "proxy_failed"),
        (SOCKS, b"\5\0\5\0\0\1" + bytes(5), "proxy_failed"),
        (SOCKS, b"HTTP/1.1 400 Bad Request\r\n\r\n", "proxy_failed"),
        (with_login(SOCKS), b"\5\2\1\1", "proxy_login"),
        (with_login(SOCKS), b"\5\xff", "proxy_login"),
    ],
)
def test_every_other_answer_opens_none(proxy, answer, reason):
    with pytest.raises(TunnelError) as refused:
        ask(proxy, answer)
    assert refused.value.reason == reason
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("host", ["x" * 256, "x" * 70_000])
def test_a_name_that_socks_cannot_hold_is_not_cut(host):
    with pytest.raises(TunnelError, match="so long a name"):
        ask(SOCKS, b"\5\0" + GRANTED, host=host)


def test_an_answer_without_an_end_is_not_waited_for_beyond_its_limit():
    with pytest.raises(TunnelError, match="without end"):
        ask(HTTP, b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * HEAD_MAX, ended=False)


pieces = st.sampled_from(
    [OPEN, b"HTTP/1.1 ", b"200", b"407", b" ", b"\r\n", b"\n", b"\r\n\r\n", GRANTED, NAMED, b"\5\0", b"\5\2", b"\1\0"]
)
answers = st.binary(max_size=64) | st.lists(pieces | st.binary(max_size=3), max_size=6).map(b"".join)


@settings(max_examples=3 * settings.default.max_examples, deadline=None)
@given(proxy=st.sampled_from([HTTP, SOCKS, with_login(HTTP), with_login(SOCKS)]), answer=answers)
def test_any_answer_opens_a_way_or_is_told_as_a_failure_of_the_proxy(proxy, answer):
    """`ask` itself fails when a way is open and something is left on it."""
    try:
        ask(proxy, answer)
    except (TunnelError, WireError):
        return
    except AssertionError:
        assert proxy.speaks_socks, "HTTP's head says by itself where it ends"
        return
    assert answer.startswith(b"HTTP/1." if not proxy.speaks_socks else b"\5")
