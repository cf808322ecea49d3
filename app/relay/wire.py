"""One connection, to an upstream or from a client: a plain non-blocking socket whose waits are the hub's.

gevent's own sockets try first and wait after, and can't tell which of the two happened; a relay must know, because a
read that never waits would starve every other stream of its worker. Only gevent's public loop API is used here.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from errno import EINPROGRESS
from typing import Any

import gevent
from greenlet import getcurrent, greenlet

READ_SIZE = 65536
_READ, _WRITE = 1, 2

Address = tuple[Any, ...]


class WireError(OSError):
    """The connection broke, or was broken by whoever watches over the call."""


class Silence(Exception):  # noqa: N818 - a state, not a mistake
    """Nothing came for a while; whoever waited may do something else and then go on waiting. Nothing is lost."""


class Wire:
    """A connected socket. ``waited`` tells whether the last read had to wait.

    One watcher in the hub's loop tells that something can be read. It stays on from wait to wait, because to start and
    stop it costs a call of the system each, and goes off by itself when something comes that nobody waits for.
    ``writable`` is the other one, for who waits without a greenlet.
    """

    __slots__ = ("_readable", "_sock", "_waiting", "_watching", "waited", "writable")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._waiting: greenlet | None = None
        loop = gevent.get_hub().loop
        self._readable = loop.io(sock.fileno(), _READ)
        self._watching = False
        self.writable = loop.io(sock.fileno(), _WRITE)
        self.waited = False

    def read(self, size: int = READ_SIZE) -> bytes:
        """Return what is there, waiting if nothing is; ``b""`` at the end. Raises ``WireError``."""
        self.waited = False
        while True:
            data = self._receive(size)
            if data is not None:
                return data
            self.wait()

    def read_later(self, size: int = READ_SIZE) -> bytes:
        """As ``read``, for who can't have anything yet: waits before it tries. Raises ``WireError``, ``Silence``."""
        while True:
            self.wait()
            data = self._receive(size)
            if data is not None:
                return data

    def read_now(self, size: int = READ_SIZE) -> bytes | None:
        """Return what is there without waiting, None when that is nothing; ``b""`` at the end. Raises ``WireError``."""
        return self._receive(size)

    @property
    def holds(self) -> bool:
        """Whether bytes may lie taken in but undelivered, where no watcher sees them."""
        return False

    def wait(self) -> None:
        """Wait until there is something to read, or the connection has ended. Raises ``Silence`` when nudged."""
        self.waited = True
        self._waiting = getcurrent()
        if not self._watching:
            self.watch(self._came)
        try:
            gevent.get_hub().switch()
        finally:
            self._waiting = None

    def watch(self, callback: Callable[[], None]) -> None:
        """Call back, in the hub, whenever there is something to read, until ``unwatch`` or the next ``wait``."""
        self._watching = True
        self._readable.start(callback)

    def rest(self) -> None:
        """Call nobody back any more who isn't waiting; the watcher stays on."""
        if self._watching:
            self.watch(self._came)

    def unwatch(self) -> None:
        """Call nobody back any more."""
        self._watching = False
        self._readable.stop()

    def _came(self) -> None:
        if self._waiting is None:
            self.unwatch()
        else:
            self._waiting.switch()

    def nudge(self) -> None:
        """Let whoever waits for something to read see ``Silence``."""
        if self._waiting is not None:
            gevent.get_hub().loop.run_callback(self._break_silence, self._waiting)

    def _break_silence(self, waiting: greenlet) -> None:
        if self._waiting is waiting:  # not if something came just now
            waiting.throw(Silence)

    def write(self, data: bytes) -> None:
        """Send all of it. Raises ``WireError``."""
        sent = self.write_now(data)
        if sent < len(data):
            view = memoryview(data)[sent:]
            while view:
                gevent.get_hub().wait(self.writable)
                view = view[self.write_now(view) :]

    def write_now(self, data: bytes | memoryview) -> int:
        """Send what the connection takes without waiting; return how much that was. Raises ``WireError``."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise WireError(str(error)) from error

    def usable(self) -> bool:
        """Whether an idle connection can be used again: nothing to read, and not ended by the other side."""
        if self._watching:
            return True  # the loop would have told of anything else
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def abort(self) -> None:
        """End the connection under whoever reads or writes it: they see its end at once."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back."""
        self.let_go()
        self._sock.close()

    def let_go(self) -> None:
        """Stop watching; the socket goes on as another's."""
        self._readable.close()
        self.writable.close()

    def given_away(self) -> socket.socket:
        """Stop watching, and return the socket for another wire over the same connection."""
        self.let_go()
        return self._sock

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._sock.fileno()

    def _receive(self, size: int) -> bytes | None:
        """Return bytes, ``b""`` at the end, or None when nothing is there yet."""
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None
        except OSError as error:
            raise WireError(str(error)) from error

    def connect(self, address: Address) -> None:
        """Reach an address. Raises ``WireError``."""
        code = self._sock.connect_ex(address)
        if code == EINPROGRESS:
            gevent.get_hub().wait(self.writable)
            code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise WireError(code, "connection refused" if code == 111 else f"connection failed ({code})")


class TlsWire(Wire):
    """A wire under TLS; OpenSSL works on memory, so that every wait is still the hub's."""

    __slots__ = ("_in", "_out", "_tls", "_under")

    def __init__(self, sock: socket.socket, *, under: Wire | None = None) -> None:
        super().__init__(sock)
        self._under = under
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject

    def start(self, context: ssl.SSLContext, host: str) -> None:
        """Shake hands, checking the certificate for ``host``. Raises ``ssl.SSLError`` or ``WireError``."""
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill_waiting()
            else:
                self._flush()
                return

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def usable(self) -> bool:
        """As for a plain wire; session tickets that came meanwhile are taken in and don't count as data."""
        try:
            return self._receive(1) is None
        except WireError:
            return False

    @property
    def holds(self) -> bool:
        return bool(self._tls.pending() or self._in.pending or (self._under is not None and self._under.holds))

    def _receive(self, size: int) -> bytes | None:
        while True:
            try:
                return self._tls.read(size)
            except ssl.SSLWantReadError:
                raw = super()._receive(READ_SIZE)
                if raw is None:
                    return None
                self._take(raw)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise WireError(str(error)) from error

    def _fill_waiting(self) -> None:
        raw = super()._receive(READ_SIZE)
        while raw is None:
            self.wait()
            raw = super()._receive(READ_SIZE)
        self._take(raw)

    def _take(self, raw: bytes) -> None:
        if raw:
            self._in.write(raw)
        else:
            self._in.write_eof()

    def _flush(self) -> None:
        data = self._out.read()
        if data:
            super().write(data)
