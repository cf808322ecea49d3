"""Writes the head of a response as gunicorn does (RFC 9112), so that it can leave together with the first bytes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from gunicorn import util
from gunicorn.http.errors import InvalidResponseHeader

_SOUND = re.compile(r"(?:[A-Za-z0-9!#$%&'*+.^_`|~-]++: [\t -~\x80-\xff]*+\r\n)*+")
_HOP_BY_HOP = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailers", "transfer-encoding",
    "upgrade", "server", "date",
})  # fmt: skip
_BODILESS = ("1", "204", "304")
_LENGTHLESS = ("1", "204")
LENGTH = "content-length"
LAST_CHUNK = b"0\r\n\r\n"


class Response:
    """One response on its way out; ``start`` is what PEP 3333 calls ``start_response``."""

    __slots__ = ("_headers", "_status", "bodiless", "chunked", "closes")

    def __init__(self, method: str, *, closes: bool) -> None:
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self.bodiless = method == "HEAD"
        self.chunked = False
        self.closes = closes

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """Take status and headers; nothing is sent yet, so that an error may still replace them."""
        self._status, self._headers = status, headers
        return _write

    def head(self) -> bytes:
        """Return the head. Raises ``InvalidResponseHeader`` for a header that could end it early."""
        told, sized = self._told()
        if _SOUND.fullmatch(told) is None or told.count("\n") > len(self._headers):
            raise InvalidResponseHeader("a header of the response is malformed")
        self.bodiless = self.bodiless or self._status.startswith(_BODILESS)
        self.chunked = not sized and not self.bodiless
        connection = "close" if self.closes else "keep-alive"
        framing = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        first = f"HTTP/1.1 {self._status}\r\nServer: gunicorn\r\nDate: {_clock.told()}\r\nConnection: {connection}\r\n"
        return f"{first}{framing}{told}\r\n".encode("latin-1")

    def framed(self, piece: bytes) -> bytes:
        """Return a piece of the body as it goes over the wire."""
        if self.bodiless or not piece:
            return b""
        return chunk(piece) if self.chunked else piece

    @property
    def last(self) -> bytes:
        """What ends the body."""
        return LAST_CHUNK if self.chunked else b""

    def _told(self) -> tuple[str, bool]:
        """Return the application's headers as lines, and whether one of them states the body's length."""
        names = [name.lower() for name, _ in self._headers]
        dropped = _HOP_BY_HOP if not self._status.startswith(_LENGTHLESS) else _HOP_BY_HOP | {LENGTH}
        if dropped.isdisjoint(names):
            return "".join([f"{name}: {value}\r\n" for name, value in self._headers]), LENGTH in names
        kept = [each for each, name in zip(self._headers, names, strict=True) if name not in dropped]
        return "".join([f"{name}: {value}\r\n" for name, value in kept]), LENGTH in names and LENGTH not in dropped


def chunk(piece: bytes) -> bytes:
    """Return bytes as one chunk (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _write(_: bytes) -> None:
    raise RuntimeError("the application must return its body; the write() of old is not offered")


class _Clock:
    """The Date header's value, made once a second."""

    def __init__(self) -> None:
        self._now, self._told = 0, ""

    def told(self) -> str:
        now = time.time_ns() // 1_000_000_000
        if now != self._now:
            self._now, self._told = now, util.http_date(now)
        return self._told


_clock = _Clock()
