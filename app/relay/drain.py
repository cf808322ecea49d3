"""Ends what is under way before gunicorn's own deadline does: gunicorn's comes with SIGKILL, and nobody cleans up."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from app.protocol.errors import Problem, RelayError
from app.relay.room import Room
from app.relay.watch import Cut, Watch

TICK_S = 0.1
HURRY_S = 1.0
CLIENT_GRACE_S = 1.0
"""How long a client may take to read the error event that ends its stream."""


class Drain:
    """Knows whether this worker is on its way out."""

    def __init__(self, watch: Watch, room: Room, *, drain_s: float) -> None:
        self._watch = watch
        self._room = room
        self._drain_s = drain_s
        self._close_idle: Callable[[], None] = lambda: None
        self._close_all: Callable[[], None] = lambda: None
        self._over = False
        self.draining = False

    def start(self, alive: Callable[[], bool], close_idle: Callable[[], None], close_all: Callable[[], None]) -> None:
        """Follow the server's own word on whether this worker lives on.

        Connections that only idle needn't wait for its end, and those that are no call yet (a body may trickle in)
        don't outlast it.
        """
        self._close_idle, self._close_all = close_idle, close_all
        gevent.spawn(self._follow, alive)

    def hurry(self) -> None:
        """Leave what is under way only a moment more: somebody at a terminal waits."""
        self._drain_s = min(self._drain_s, HURRY_S)

    def admit(self) -> None:
        """Raise ``RelayError`` (503) for a call that comes too late or is one too many."""
        if self._over:
            raise RelayError(Problem.OVERLOADED, "Realms is being restarted; try again.", retry_after=1)
        self._room.admit()

    def _follow(self, alive: Callable[[], bool]) -> None:
        while alive():
            gevent.sleep(TICK_S)
        self.draining = True
        since = time.monotonic()
        while (
            time.monotonic() < since + self._drain_s
        ):  # the process ends by itself as soon as its last connection does
            self._close_idle()
            gevent.sleep(TICK_S)
        self._end_all()

    def _end_all(self) -> None:
        """Break the waits; each call then tells its client in its own protocol, and settles."""
        self._over = True
        for live in list(self._watch.live):
            live.end(Cut.DRAIN)
        until = time.monotonic() + CLIENT_GRACE_S
        while self._watch.live and time.monotonic() < until:
            gevent.sleep(TICK_S / 2)
        for live in list(self._watch.live):
            live.drop_client()
        while True:
            self._close_all()
            gevent.sleep(TICK_S)
