"""Makes wires: to an address, under TLS where that is wanted, and over another wire that leads there already."""

from __future__ import annotations

import socket
import ssl
from typing import cast

from gevent.monkey import get_original

from app.relay.wire import Address, TlsWire, Wire

RECEIVE_BUFFER = 128 * 1024
"""Kernel bytes per connection; left to itself the kernel grows it to megabytes behind a slow reader."""
USER_TIMEOUT_MS = 60_000
ASKED_AFTER_S, ASKED_AGAIN_S = 20, 10
"""A network that is gone says nothing: the kernel asks a silent peer so often, until the time above is over."""
_Socket: type[socket.socket] = get_original("socket", "socket")


class _Carried:
    """A wire under TLS in the place of a socket: TLS within TLS, to an upstream behind a proxy that wants its own."""

    def __init__(self, wire: TlsWire) -> None:
        self._wire = wire
        self.fileno = wire.fileno
        self.close = wire.close

    def recv(self, size: int) -> bytes:
        data = self._wire.read_now(size)
        if data is None:
            raise BlockingIOError
        return data

    def send(self, data: bytes | memoryview) -> int:
        self._wire.write(bytes(data))
        return len(data)

    def shutdown(self, _: int) -> None:
        self._wire.abort()


def open_wire(family: int, address: Address, *, context: ssl.SSLContext | None = None, host: str = "") -> Wire:
    """Return a wire to an address, under TLS when a context is given.

    Raises ``WireError`` when nobody answers there, ``ssl.SSLError`` when the other side can't prove to be ``host``.
    """
    sock = _Socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, ASKED_AFTER_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ASKED_AGAIN_S)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    except BaseException:
        sock.close()
        raise
    wire = Wire(sock)
    try:
        wire.connect(address)
    except BaseException:
        wire.close()
        raise
    return secured(wire, context=context, host=host) if context else wire


def secured(wire: Wire, *, context: ssl.SSLContext, host: str) -> TlsWire:
    """Return a wire under TLS over one that leads to ``host`` already, and that is its own from now on.

    Raises ``ssl.SSLError`` when the other side can't prove to be ``host``, or ``WireError``; the wire is closed then.
    """
    if isinstance(wire, TlsWire):
        over = TlsWire(cast("socket.socket", _Carried(wire)), under=wire)
    else:
        over = TlsWire(wire.given_away())
    try:
        over.start(context, host)
    except BaseException:
        over.close()
        raise
    return over
