"""Ends what is under way before gunicorn's own deadline does: gunicorn's comes with SIGKILL, and nobody cleans up."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent

from app.protocol.errors import Problem, RelayError
from app.relay.watch import Cut, Watch

TICK_S = 0.1
CLIENT_GRACE_S = 1.0
"""How long a client may take to read the error event that ends its stream."""


class Drain:
    """Knows whether this worker is on its way out."""

    def __init__(self, watch: Watch, *, drain_s: float) -> None:
        self._watch = watch
        self._drain_s = drain_s
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self.draining = False

    def start(self, alive: Callable[[], bool]) -> None:
        """Follow the server's own word on whether this worker lives on."""
        gevent.spawn(self._follow, alive)

    def admit(self) -> None:
        """Raise ``RelayError`` (503) for a call that comes too late."""
        if self.draining:
            raise RelayError(Problem.OVERLOADED, "Realms is being restarted; try again.", retry_after=1)

    def saw(self, connection: Any) -> None:
        """Remember a connection, so that it doesn't hold up the end while it only idles."""
        if connection is not None:
            self._connections.add(connection)

    def _follow(self, alive: Callable[[], bool]) -> None:
        while alive():
            gevent.sleep(TICK_S)
        self.draining = True
        deadline = time.monotonic() + self._drain_s
        while self._watch.live and time.monotonic() < deadline:
            self._close_idle()
            gevent.sleep(TICK_S)
        self._end_all()

    def _end_all(self) -> None:
        """Break the waits; each call then tells its client in its own protocol, and settles."""
        for live in list(self._watch.live):
            live.end(Cut.DRAIN)
        until = time.monotonic() + CLIENT_GRACE_S
        while self._watch.live and time.monotonic() < until:
            gevent.sleep(TICK_S / 2)
        for live in list(self._watch.live):
            live.drop_client()
        while True:
            self._close_idle()
            gevent.sleep(TICK_S)

    def _close_idle(self) -> None:
        busy = {live.client for live in self._watch.live}
        for connection in list(self._connections):
            if connection not in busy:
                with suppress(OSError):
                    connection.shutdown(0)  # SHUT_RD: the server reads the end and hangs up
