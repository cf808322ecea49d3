"""Looks the names of upstreams up, off the hub; while no name server answers what it said last goes on to count.

A dead name server answers after many seconds or never, and a look-up can't be ended. So look-ups have a few threads of
their own that nothing else waits for, a name takes one of them at most, and who waits may stop waiting.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import cast

import gevent
import msgspec
import structlog
from gevent.event import AsyncResult
from gevent.monkey import get_original
from gevent.threadpool import ThreadPool

from app.relay.home import IP

FRESH_S = 30.0
"""How long what a name server said is believed."""
STALE_S = 3600.0
"""How long it is gone by further while no name server says anything at all."""
PATIENCE_S = 1.0
"""How long news are waited for where something is known."""
AGAIN_S = 5.0
THREADS_MAX = 8
IDLE_S = 30
getaddrinfo = get_original("socket", "getaddrinfo")
log = structlog.get_logger()
Key = tuple[str, int]


class _Known(msgspec.Struct):
    addresses: list[IP]
    said_at: float
    good_until: float


class Names:
    """One worker's look-ups."""

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}
        self._asking: dict[Key, AsyncResult[list[IP]]] = {}
        self._threads: ThreadPool | None = None

    def addresses(self, host: str, port: int) -> list[IP]:
        """Return what a name stands for. Raises ``OSError`` or ``UnicodeError`` when nobody knows."""
        known, now = self._known.get((host, port)), time.monotonic()
        if known is not None and now < known.good_until:
            return known.addresses
        asked = self._asking.get((host, port)) or self._ask((host, port))
        if known is None or now - known.said_at > STALE_S:
            return _told(asked)
        late = gevent.Timeout(PATIENCE_S)
        try:
            with late:
                return _told(asked)
        except gevent.Timeout as timeout:
            if timeout is not late:
                raise
        except OSError as error:
            if error.errno == socket.EAI_NONAME:  # an answer, and not the want of one
                raise
        known.good_until = time.monotonic() + AGAIN_S
        log.warning("name_server_silent", host=host, known_for_s=round(now - known.said_at))
        return known.addresses

    def _ask(self, key: Key) -> AsyncResult[list[IP]]:
        asked = self._asking[key] = AsyncResult()
        gevent.spawn(self._look_up, key, asked)
        return asked

    def _look_up(self, key: Key, asked: AsyncResult[list[IP]]) -> None:
        """Look a name up, whoever still waits for it."""
        self._threads = self._threads or ThreadPool(THREADS_MAX, idle_task_timeout=IDLE_S)
        found = self._threads.apply(_outcome, key)
        del self._asking[key]
        if isinstance(found, list):
            now = time.monotonic()
            self._known[key] = _Known(found, now, now + FRESH_S)
            asked.set(found)
            return
        if isinstance(found, OSError) and found.errno == socket.EAI_NONAME:
            self._known.pop(key, None)
        asked.set_exception(found)


def _told(asked: AsyncResult[list[IP]]) -> list[IP]:
    return cast("list[IP]", asked.get())


def _outcome(host: str, port: int) -> list[IP] | Exception:
    """Carry an error back as a value: the threads would print each one that is raised in them."""
    try:
        found = getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return error
    return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
