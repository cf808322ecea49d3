"""Serves plain requests with few words: one read, the application called as WSGI, head and first bytes in one send.

Whatever isn't plain beyond doubt is given to gunicorn's own code as it came, with all that it judges and limits; so a
connection that began here may go on there, and two readers never disagree about one request.
"""

from __future__ import annotations

import io
import socket
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from gevent import socket as hub_socket
from gevent.monkey import get_original
from gunicorn.http.wsgi import base_environ

from app.api.reading import CONNECTION
from app.relay.hands import soon
from app.relay.pump import Pump
from app.relay.stream import Stream
from app.relay.wire import Wire, WireError
from app.server import head as heads
from app.server import leftovers
from app.server.body import Body
from app.server.response import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.relay.watch import Watch
    from app.server.connections import Connections
    from app.server.head import Head

READ = 64 * 1024
FAILED = b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_Socket: type[socket.socket] = get_original("socket", "socket")


class Visitor:
    """One client's connection: its wire, and what is the same in the environ of each of its requests."""

    __slots__ = ("address", "ahead", "environ", "listener", "sock", "wire")

    def __init__(self, client: Any, address: Any, listener: Any, environ: dict[str, Any]) -> None:
        server = listener.getsockname()
        self.sock = _Socket(client.family, client.type, client.proto, fileno=client.detach())
        self.sock.settimeout(0)
        self.wire = Wire(self.sock)
        self.ahead = b""
        """What was read beyond the last request."""
        self.listener = listener
        self.address = address
        self.environ = environ | {
            CONNECTION: self.sock,
            "REMOTE_ADDR": address[0],
            "REMOTE_PORT": str(address[1]),
            "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]),
        }


class Begun(hub_socket.socket):
    """A socket of which something was read already: that comes first."""

    ahead = b""

    def recv(self, *args: Any) -> bytes:
        """As ever, but what was read already has no other size than its own."""
        if self.ahead:
            data, self.ahead = self.ahead, b""
            return data
        return bytes(super().recv(*args))


class Lean:
    """Handles the connections of one worker in place of gunicorn's ``handle``."""

    def __init__(self, worker: Any, connections: Connections, watch: Watch, *, body_s: float) -> None:
        self._gunicorns = worker.handle
        self._worker = worker
        self._app = worker.wsgi
        self._connections = connections
        self._watch = watch
        self._body_s = body_s
        self._environ: dict[str, Any] = base_environ(worker.cfg) | {
            "wsgi.multithread": True,
            "wsgi.url_scheme": "http",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SCRIPT_NAME": "",
        }

    def handle(self, listener: Any, client: Any, address: Any) -> None:
        """Serve a connection to its end, or until a pump carries it."""
        if client.family not in {socket.AF_INET, socket.AF_INET6} or self._worker.cfg.is_ssl:
            self._gunicorns(listener, client, address)
            return
        visitor = Visitor(client, address, listener, self._environ)
        self._watch.follow(visitor.sock)
        self._connections.arrives(visitor.sock)
        self._serve(visitor)

    def _serve(self, visitor: Visitor) -> None:
        """Serve requests as long as they are plain and the connection lasts."""
        try:
            while (came := self._next(visitor)) is not None:
                if not self._answer(visitor, *came):
                    return
        except (OSError, EOFError):
            self._close(visitor)
        except Exception as error:  # noqa: BLE001 - the outermost function of a connection
            self._fail(visitor, error)
        except BaseException:
            self._close(visitor)
            raise

    def _next(self, visitor: Visitor) -> tuple[Head, bytes] | None:
        """Wait for a request; return its head, and what came behind that. None when the connection isn't ours any more.

        It is over then, or gunicorn's from here on.
        """
        data, visitor.ahead = visitor.ahead, b""
        if not data:
            self._connections.idles(visitor.sock, since=time.monotonic())
            try:
                data = visitor.wire.read_later(READ)
            finally:
                self._connections.serves(visitor.sock)
        if not data:
            self._close(visitor)
            return None
        head = heads.read(data)
        if head is None:
            self._hand_over(visitor, data)
            return None
        return head, data[head.size :]

    def _hand_over(self, visitor: Visitor, data: bytes) -> None:
        """Let gunicorn serve this connection from here on, beginning with what was read of it."""
        self._let_go(visitor)
        client = Begun(fileno=visitor.sock.detach())
        client.ahead = data
        self._connections.leaves(visitor.sock)
        self._gunicorns(visitor.listener, client, visitor.address)

    def _answer(self, visitor: Visitor, head: Head, behind: bytes) -> bool:
        """Serve one request. False when the connection is another's from here on, or closed."""
        body = self._body(visitor, head, behind)
        environ = visitor.environ | head.environ
        environ["wsgi.input"] = body
        response = Response(head.environ["REQUEST_METHOD"], closes=head.closes or not self._worker.alive)
        result = self._app(environ, response.start)
        left = _left_of(body)
        response.closes = response.closes or left > leftovers.SMALL
        if isinstance(result, Stream) and result.wire is not None:
            return self._pump(visitor, response, result, result.wire)
        try:
            _send(visitor.wire, response, result)
        finally:
            if hasattr(result, "close"):
                result.close()
        if not response.closes:
            _read_past(body)
        elif left:
            self._part(visitor)
        else:
            self._close(visitor)
        return not response.closes

    def _body(self, visitor: Visitor, head: Head, behind: bytes) -> io.BytesIO | io.BufferedReader:
        """Return the body; one that isn't whole yet stays on the socket until someone reads it."""
        if len(behind) >= head.length:
            visitor.ahead = behind[head.length :]
            return io.BytesIO(behind[: head.length])
        return io.BufferedReader(Body(visitor.wire, begun=behind, length=head.length, wait_s=self._body_s), READ)

    def _pump(self, visitor: Visitor, response: Response, stream: Stream, source: Wire) -> bool:
        """Let the hub carry a stream. True when it is over already and the connection can go on."""
        pump = Pump(stream, source, visitor.wire, head=response.head(), done=partial(self._pumped, visitor, response))
        if not pump.start():
            return False
        if pump.whole and not response.closes:
            return True
        self._close(visitor)
        return False

    def _pumped(self, visitor: Visitor, response: Response, pump: Pump) -> None:
        """A stream is over; the next request on its connection needs a greenlet again."""
        if pump.whole and not response.closes and self._worker.alive:
            soon(partial(self._serve, visitor))
        else:
            self._close(visitor)

    def _fail(self, visitor: Visitor, error: Exception) -> None:
        """The application has no answer for this one: say so if nothing was said yet, and hang up."""
        self._worker.log.error("Error handling request", exc_info=error)
        with suppress(WireError):
            visitor.wire.write_now(FAILED)
        self._close(visitor)

    def _part(self, visitor: Visitor) -> None:
        """End a connection whose client still sends; what it hasn't read yet of the answer would be lost in a reset."""
        self._let_go(visitor)
        with hub_socket.socket(fileno=visitor.sock.detach()) as client:
            leftovers.take_away(client)
        self._connections.leaves(visitor.sock)

    def _let_go(self, visitor: Visitor) -> None:
        """Leave the connection to another, open as it is."""
        self._watch.forget(visitor.sock)
        visitor.wire.let_go()

    def _close(self, visitor: Visitor) -> None:
        self._watch.forget(visitor.sock)
        visitor.wire.close()
        self._connections.leaves(visitor.sock)


def _send(wire: Wire, response: Response, pieces: Iterable[bytes]) -> None:
    """Send a response, its head together with the first piece of its body."""
    begun = b""
    sent = False
    for piece in pieces:
        if not sent:
            begun, sent = response.head(), True
        if data := response.framed(piece):
            wire.write(begun + data)
            begun = b""
    rest = (begun if sent else response.head()) + response.last
    if rest:
        wire.write(rest)


def _left_of(body: io.BytesIO | io.BufferedReader) -> int:
    """Return how much of a body is still to come over the connection."""
    return 0 if isinstance(body, io.BytesIO) else cast("Body", body.raw).left


def _read_past(body: io.BufferedIOBase) -> None:
    """Take what the application left of the body, so that the next request can be read."""
    while body.read(READ):
        pass
