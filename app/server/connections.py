"""Every client's connection of one worker: which of them only idle, and what becomes of those."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from math import inf
from typing import Any

import gevent

from app.relay.watch import hang_up
from app.server import leftovers

SWEEP_S = 0.5
TICK_S = 0.05
FIRST_S = 2.0
"""Who came so lately is about to ask for something, and knows of no end: this one isn't cut off, others are."""

Handler = Callable[..., Any]


class Connections:
    """Knows which connections are between two requests, so that they are closed in time and hold up no end."""

    def __init__(self, *, keepalive_s: float) -> None:
        self._keepalive_s = keepalive_s
        self._idle: dict[Any, float] = {}
        self._came: dict[Any, float] = {}
        """Since when connections are here that have had no request yet."""
        self._here: set[Any] = set()

    def start(self) -> None:
        """Begin to look for idle ones, in this worker's hub."""
        gevent.spawn(self._sweep_for_ever)

    def arrives(self, client: Any) -> None:
        """A connection is new: its first request is on the way."""
        self._came[client] = time.monotonic()
        self._here.add(client)

    def leaves(self, client: Any) -> None:
        """A connection is gone, or another's."""
        self._here.discard(client)
        self.serves(client)

    def idles(self, client: Any, *, since: float) -> None:
        """A connection waits for its next request; ``since`` (monotonic, in seconds) is when its patience began."""
        self._idle[client] = since

    def serves(self, client: Any) -> None:
        """A connection has a request."""
        self._idle.pop(client, None)
        self._came.pop(client, None)

    def close_idle(self) -> None:
        """Let every idle connection end, but for the newest: whoever reads it sees its end, and hangs up."""
        newest = time.monotonic() - FIRST_S
        for client in list(self._idle):
            if self._came.get(client, newest) <= newest:
                hang_up(client, socket.SHUT_RD)

    def close_all(self) -> None:
        """End every connection, whatever is still said on it."""
        for client in list(self._here):
            hang_up(client, socket.SHUT_RDWR)

    # -- around gunicorn's own handlers ------------------------------------------------------------------------------
    def seeing(self, handle: Handler) -> Handler:
        """Return gunicorn's handler of a connection, told here of each; gunicorn itself keeps their time."""

        def handle_seen(listener: Any, client: Any, address: Any) -> Any:
            self.arrives(client)
            self.idles(client, since=inf)
            try:
                return handle(listener, client, address)
            finally:
                self.leaves(client)

        return handle_seen

    def serving(self, handle_request: Handler) -> Handler:
        """Return gunicorn's handler of a request, told here of each: a connection that is served doesn't idle."""

        def handle_served(listener: Any, request: Any, client: Any, address: Any) -> Any:
            self.serves(client)
            try:
                served = handle_request(listener, request, client, address)
                if leftovers.is_much(request):
                    leftovers.take_away(client)
                    raise StopIteration  # gunicorn's word for a connection that ends
                return served
            finally:
                self.idles(client, since=inf)

        return handle_served

    def outlasting(self, worker: Any) -> Callable[[], None]:
        """Return the worker's main loop, made to last as long as its connections: gunicorn doesn't know of all."""
        run: Callable[[], None] = worker.run

        def run_to_the_end() -> None:
            run()
            while self._here:
                worker.notify()
                gevent.sleep(TICK_S)

        return run_to_the_end

    def _sweep_for_ever(self) -> None:
        while True:
            gevent.sleep(SWEEP_S)
            oldest = time.monotonic() - self._keepalive_s
            for client in [client for client, since in self._idle.items() if since < oldest]:
                hang_up(client, socket.SHUT_RD)
