"""The HTTP/1.1 server: strict parsing by httptools, one request at a time a connection, the socket in reach.

Faults need the socket itself (resets, half-closed connections, headers no library would write), so there is no
web framework here.  A client that leaves is noticed at once, also while nothing is being sent.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import httptools
import msgspec


class Request(msgspec.Struct):
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes
    keep_alive: bool
    version: str

    def header(self, name: str) -> str | None:
        for key, value in self.headers:
            if key == name:
                return value
        return None


Serve = Callable[["Connection", Request], None]


class Connection(asyncio.Protocol):
    """One client's connection; `serve` is called for each request and ends it with `release`."""

    __slots__ = (
        "_body",
        "_drained",
        "_headers",
        "_open",
        "_parser",
        "_serve",
        "_url",
        "_waiting",
        "busy",
        "lost",
        "on_lost",
        "transport",
    )

    def __init__(self, serve: Serve, open_connections: "set[Connection]") -> None:
        self._serve = serve
        self._open = open_connections
        self._waiting: deque[Request] = deque()
        self._drained: asyncio.Future[None] | None = None
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self.busy = False
        self.lost = False
        self.on_lost: Callable[[], None] | None = None

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._parser: Any = httptools.HttpRequestParser(self)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Paused means: something is not yet with the kernel.  So drained means that all of it is.
        self.transport.set_write_buffer_limits(0)
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass
        except httptools.HttpParserError:
            if not self.busy:
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()

    def eof_received(self) -> bool:
        if self.busy:
            self.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._open.discard(self)
        self.resume_writing()
        if self.on_lost is not None:
            self.on_lost()
        self.on_lost = None
        self._parser = None

    def pause_writing(self) -> None:
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # -- what httptools calls

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if ("expect", "100-continue") in self._headers:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        parser = self._parser
        path, _, query = self._url.decode("latin-1").partition("?")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = Request(
            parser.get_method().decode(),
            path,
            query,
            self._headers,
            body,
            parser.should_keep_alive() and not parser.should_upgrade(),
            parser.get_http_version(),
        )
        self._url = b""
        self._headers = []
        self._body = []
        if self.busy:
            self._waiting.append(request)
        else:
            self._begin(request)

    # -- what an exchange uses

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the kernel has everything."""
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def release(self, *, keep_alive: bool) -> None:
        """End the running exchange: the next request, or the end of the connection."""
        self.busy = False
        self.on_lost = None
        if not keep_alive:
            self.transport.close()
        elif self._waiting and not self.lost:
            self._begin(self._waiting.popleft())

    def reset(self) -> None:
        """End the connection with RST."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None and not self.lost:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def half_close(self) -> None:
        """FIN, while the other direction stays open."""
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _begin(self, request: Request) -> None:
        self.busy = True
        self._serve(self, request)
