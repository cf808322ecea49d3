"""The ``requests`` transport adapter that every call to an upstream goes through, over pooled wires.

Nothing here follows a redirect, keeps a cookie, reads the environment or asks for compression.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import gevent
import requests
from requests.adapters import BaseAdapter

from app.protocol.proxy import Proxy
from app.relay.answer import Answer
from app.relay.wire import Wire, WireError

IDLE_S = 50.0
"""How long a connection is kept for the next call: under the minute after which most servers hang up."""
IDLE_MAX = 512
"""Connections kept per origin."""
CROSSED_S = 2.0
"""A request that crosses with the end of its idle connection is told within a round trip: long before this."""
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
SWEEP_S = 5.0
"""How often is looked for those that nobody took in time."""

FRAMING = frozenset({"host", "accept-encoding", "connection", "content-length", "transfer-encoding"})
"""Headers that are this module's alone."""


class Origin(NamedTuple):
    """Where a connection leads; two calls share one only when all of it is equal."""

    scheme: str
    host: str
    port: int
    proxy: Proxy | None = None
    """What it leads through; a connection made without is never one made with."""

    @property
    def authority(self) -> str:
        """The Host header: the port only where it isn't the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"


@lru_cache(maxsize=4096)
def locate(url: str) -> tuple[Origin, str]:
    """Return a URL's origin and its request target. Raises ``ValueError`` for one that isn't http or https."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("not an http or https address")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Origin(parts.scheme, parts.hostname, port), target


class RelayRequest(requests.PreparedRequest):
    """A prepared request that tells who watches over it which wire carries it."""

    _cookies = _body_position = None
    hooks: dict[str, list[Any]] = {}  # noqa: RUF012 - never written to
    connect_s: float | None = None
    """How long a new connection may take; None: as usual."""
    on_wire: Callable[[Wire], None] | None = None

    def __init__(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, proxy: Proxy | None
    ) -> None:
        # Not by way of its own beginning, which makes room for cookies and hooks that no request of ours has.
        self.method = method
        self.url = url
        self.headers = headers  # type: ignore[assignment]  # a plain dict will do, and is quick to make
        self.body = body
        self.proxy = proxy


class RelayAdapter(BaseAdapter):
    """Sends prepared requests over kept-alive wires; never blocks on the size of its pool."""

    def __init__(self, dial: Callable[[Origin, float | None], Wire]) -> None:
        super().__init__()
        self._dial = dial
        self._idle: dict[Origin, list[tuple[Wire, float]]] = {}

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Send a request for a session; the answer's body is ``response.raw``. Raises as ``answer`` does."""
        answer = self.answer(request)
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update(answer.headers)
        response.raw = answer
        response.request = request
        response.url = str(request.url)
        return response

    def answer(self, request: requests.PreparedRequest) -> Answer:
        """Send a request and wait for the answer's head; what a relayed call needs of a response, and no more.

        Raises ``WireError``, ``ssl.SSLError``, ``BrokenAnswerError``, or what the dial raises. A reused connection
        that dies before the first byte of an answer is replaced by a fresh one, once, unless its server may have begun
        what must not be done twice.
        """
        origin, message = _message(request)
        on_wire = getattr(request, "on_wire", None)
        wire = self._take(origin)
        if wire is not None:
            since = time.monotonic()
            try:
                return self._exchange(message, origin, wire=wire, on_wire=on_wire)
            except WireError:
                if getattr(on_wire, "cut", None) or not _may_go_again(request, since):
                    raise
        return self._exchange(
            message, origin, wire=self._dial(origin, getattr(request, "connect_s", None)), on_wire=on_wire
        )

    def sweep_for_ever(self) -> None:
        """Close what was kept too long, or ended by the other side, also when no further call comes to find it."""
        while True:
            gevent.sleep(SWEEP_S)
            self._sweep()

    def close(self) -> None:
        """Close every idle connection."""
        for kept in self._idle.values():
            for wire, _ in kept:
                wire.close()
        self._idle.clear()

    def _exchange(
        self, message: bytes, origin: Origin, *, wire: Wire, on_wire: Callable[[Wire], None] | None
    ) -> Answer:
        answer = Answer(wire, done=partial(self._give_back, origin, wire))
        try:
            if on_wire is not None:
                on_wire(wire)
            wire.write(message)
            answer.read_head()
        except BaseException:
            answer.close()
            raise
        return answer

    def _take(self, origin: Origin) -> Wire | None:
        kept = self._idle.get(origin)
        while kept:
            wire, since = kept.pop()
            if _usable(wire, since):
                return wire
            wire.close()
        return None

    def _sweep(self) -> None:
        for origin, kept in list(self._idle.items()):
            self._idle[origin] = [each for each in kept if _usable(*each)]
            for wire, _ in set(kept).difference(self._idle[origin]):
                wire.close()
            if not self._idle[origin]:
                del self._idle[origin]

    def _give_back(self, origin: Origin, wire: Wire, whole: bool) -> None:  # noqa: FBT001 - an answer tells it
        kept = self._idle.setdefault(origin, [])
        if whole and len(kept) < IDLE_MAX:
            kept.append((wire, time.monotonic()))
        else:
            wire.close()


def _usable(wire: Wire, since: float) -> bool:
    """Whether a connection that was given back at ``since`` may carry another call."""
    return time.monotonic() - since < IDLE_S and wire.usable()


def _may_go_again(request: requests.PreparedRequest, since: float) -> bool:
    """Whether a request may be sent once more that got no answer (RFC 9110, 9.2.2): a generation is paid each time."""
    return request.method in IDEMPOTENT or time.monotonic() - since < CROSSED_S


def _way_of(request: requests.PreparedRequest) -> Proxy | None:
    """Return the proxy that a request leads through; one that doesn't say is not sent, least of all straight on."""
    try:
        way: Proxy | None = request.proxy  # type: ignore[attr-defined]  # only our own requests have it
    except AttributeError:
        raise TypeError("a request has to say which proxy it leads through, or that it needs none") from None
    return way


def _message(request: requests.PreparedRequest) -> tuple[Origin, bytes]:
    """Return where a request goes, and its bytes, head and body in one, so that it leaves in one send."""
    body = request.body or b""
    origin, head = _head(request.method, str(request.url), _way_of(request), tuple(request.headers.items()))
    length = b"content-length: %d\r\n\r\n" % len(body) if body or request.method == "POST" else b"\r\n"
    return origin, head + length + (body if isinstance(body, bytes) else body.encode())


@lru_cache(maxsize=512)
def _head(
    method: str | None, url: str, proxy: Proxy | None, headers: tuple[tuple[str, str], ...]
) -> tuple[Origin, bytes]:
    """Return where a request goes, and its head but for the body's length: the same few go out again and again."""
    origin, target = locate(url)
    lines = [f"{method} {target} HTTP/1.1", f"host: {origin.authority}", "accept-encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers if name.lower() not in FRAMING]
    head = "\r\n".join((*lines, ""))
    if head.count("\r") != len(lines) or head.count("\n") != len(lines):
        raise ValueError("a header or address may not hold a line break")
    return origin._replace(proxy=proxy), head.encode("latin-1")
