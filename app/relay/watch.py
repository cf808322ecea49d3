"""Watches over the calls under way: clients that leave, waits that last too long, readers that stop reading.

One epoll set holds the clients' sockets and stands itself in the hub's loop, so that a client's going away wakes
exactly one callback (level by ``EPOLLRDHUP``; it is seen although a pipelined request lies unread). One sweep looks at
all deadlines, so that no call needs a timer of its own. Whoever is cut sees its wire end, and asks ``cut`` why.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any

import gevent
from gevent.monkey import get_original

from app.protocol.call import Call
from app.relay.wire import Wire

SWEEP_S = 0.25
CLIENT_GRACE_S = 0.5
"""How long a client may take to read the error event of a call that was stopped."""
_EPOLLRDHUP = 0x2000
_READ = 1
_epoll = get_original("select", "epoll")
_Socket: type[socket.socket] = get_original("socket", "socket")
_BYTES_ACKED = struct.Struct("=120xQ")
"""``tcpi_bytes_acked`` in Linux' ``struct tcp_info`` (since 4.2)."""


class Cut(StrEnum):
    """Why a call was ended before its own end."""

    CLIENT_LEFT = "client_left"
    SLOW_READER = "slow_reader"
    FIRST_BYTE = "first_byte_timeout"
    IDLE = "idle_timeout"
    TOTAL = "total_timeout"
    ATTEMPT = "attempt_timeout"
    """The whole of an attempt took longer than its upstream is allowed."""
    DRAIN = "drain"
    STOPPED = "stopped"
    """Somebody with the right to asked for it."""


class Live:
    """One call under way: the client's socket, the upstream's wire, and how long the present wait may last."""

    __slots__ = (
        "_acked",
        "_at_end",
        "_call_ends",
        "_deadline",
        "_ends",
        "_reason",
        "_shown_at",
        "_wire",
        "_write_s",
        "client",
        "cut",
        "fd",
        "followers",
        "on_silence",
        "trace",
    )

    def __init__(self, client: Any, *, write_s: float, total_s: float) -> None:
        self.client = client
        self.trace: Any = None
        """The story of what is under way, for whoever looks or ends it; None for what is made for another call."""
        self.fd = client.fileno() if client is not None else -1
        self.cut: Cut | None = None
        self.followers: list[Live] = []
        """Calls that are made for this one and end with it."""
        self._wire: Wire | None = None
        self._acked = -1
        self._write_s = write_s
        self._shown_at = time.monotonic()
        self._call_ends = self._ends = self._shown_at + total_s
        self._at_end = Cut.TOTAL
        self._deadline = self._ends
        self._reason = Cut.TOTAL
        self.on_silence: Callable[[], None] | None = None
        """Called whenever the client was shown nothing for the time of a heartbeat."""

    def __call__(self, wire: Wire) -> None:
        """Take note of the wire that carries the call; a call that was cut meanwhile ends there."""
        self._wire = wire
        if self.cut is not None:
            wire.abort()

    def released(self) -> None:
        """The wire is no longer this call's: whatever happens to the call must not touch it any more."""
        self._wire = None

    def attempts(self, total_s: float | None) -> None:
        """An attempt begins; what its upstream allows for the whole of it counts in the place of the call's own end."""
        if total_s is None:
            self._ends, self._at_end = self._call_ends, Cut.TOTAL
        else:
            self._ends, self._at_end = time.monotonic() + total_s, Cut.ATTEMPT

    def waits_for_upstream(self, seconds: float, reason: Cut) -> None:
        """The next thing must come from the upstream within ``seconds``."""
        deadline = time.monotonic() + seconds
        if deadline < self._ends:
            self._deadline, self._reason = deadline, reason
        else:
            self._deadline, self._reason = self._ends, self._at_end

    def retries(self) -> bool:
        """Forget a cut that was about one attempt alone; returns whether the call may go on."""
        if self.cut in {Cut.FIRST_BYTE, Cut.IDLE, Cut.ATTEMPT}:
            self.cut = None
        self.attempts(None)
        self._deadline, self._reason = self._ends, Cut.TOTAL
        return self.cut is None

    def waits_for_client(self) -> None:
        """The client must take something of what is sent within the write limit."""
        self._shown_at = time.monotonic()
        self._deadline, self._reason = self._shown_at + self._write_s, Cut.SLOW_READER

    def shown(self) -> None:
        """The client was sent something, and took it."""
        self._shown_at = time.monotonic()

    def silent(self, now: float, heartbeat_s: float) -> None:
        """Have a heartbeat sent if the client was shown nothing for so long."""
        if self.on_silence is not None and self.cut is None and now - self._shown_at >= heartbeat_s:
            self.on_silence()

    def nudge(self) -> None:
        """Break the wait for the upstream for a moment; whoever waits must be ready to see ``Silence``."""
        if self._wire is not None:
            self._wire.nudge()

    def overdue(self, now: float) -> None:
        """Cut the call if its wait has lasted too long; a reader that takes anything at all gets more time."""
        if self.cut is not None:
            return
        if self._reason is Cut.SLOW_READER and self._took_something():
            self._deadline = now + self._write_s
        elif now >= self._deadline:
            self.end(self._reason)

    def end(self, reason: Cut) -> None:
        """Break the wait that the call is in, whichever it is."""
        if self.cut is None:
            self.cut = reason
        if self._wire is not None:
            self._wire.abort()
        for follower in self.followers:
            follower.end(reason)
        if reason in {Cut.CLIENT_LEFT, Cut.SLOW_READER}:
            self.drop_client()

    @property
    def held(self) -> bool:
        """Whether the client is waited for at this moment."""
        return self._reason is Cut.SLOW_READER

    def drop_client(self) -> None:
        """End the client's connection under whoever is writing to it."""
        if self.client is not None:
            hang_up(self.client, socket.SHUT_RDWR)

    def _took_something(self) -> bool:
        """Whether the client's side has acknowledged more than when it was last looked at."""
        try:
            info = self.client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_ACKED.size)
            acked = int(_BYTES_ACKED.unpack(info)[0])
        except (OSError, struct.error, AttributeError):
            return False
        more, self._acked = acked != self._acked, acked
        return more


def hang_up(connection: Any, how: int) -> None:
    """End a connection for the kernel alone, so that who waits on it sees an ordinary end of file or broken pipe.

    gevent's own ``shutdown`` would raise a "bad file descriptor" in there, which gunicorn logs as a failure.
    """
    with suppress(OSError), _Socket(fileno=os.dup(connection.fileno())) as twin:
        twin.shutdown(how)


class Watch:
    """All live calls of one worker."""

    def __init__(self, *, write_s: float, total_s: float, heartbeat_s: float = 0.0) -> None:
        self._write_s = write_s
        self._total_s = total_s
        self.heartbeat_s = heartbeat_s
        self._epoll = _epoll()
        self._by_fd: dict[int, Live] = {}
        self._followed: set[int] = set()
        self.live: set[Live] = set()
        self._watcher: Any = None

    def start(self) -> None:
        """Begin to watch, in this worker's hub."""
        self._watcher = gevent.get_hub().loop.io(self._epoll.fileno(), _READ)
        self._watcher.start(self._departed)
        gevent.spawn(self._sweep_for_ever)

    def follow(self, client: Any) -> None:
        """Watch a connection for all its calls, from now until ``forget``: cheaper than for each call anew."""
        fd = client.fileno()
        self._epoll.register(fd, _EPOLLRDHUP)
        self._followed.add(fd)

    def forget(self, client: Any) -> None:
        """Let a connection go that is about to be closed; its number will be another's."""
        fd = client.fileno()
        if fd in self._followed:
            self._followed.discard(fd)
            self._unregister(fd)

    def enter(self, client: Any, *, leader: Live | None = None) -> Live:
        """Take a call under watch; one with a leader is made for it and ends with it."""
        live = Live(client, write_s=self._write_s, total_s=self._total_s)
        if leader is not None:
            leader.followers.append(live)
        self.live.add(live)
        fd = live.fd
        if fd in self._followed:
            self._by_fd[fd] = live
        elif fd >= 0:
            try:
                self._epoll.register(fd, _EPOLLRDHUP)
            except OSError:  # already registered: a server that runs two calls on one socket
                return live
            self._by_fd[fd] = live
        return live

    def stop(self, calls: frozenset[str], tokens: frozenset[int]) -> None:
        """End the calls with one of these ids, and those made with one of these tokens."""
        stopped = [live for live in self.live if live.trace is not None and _meant(live.trace.call, calls, tokens)]
        for live in stopped:
            live.end(Cut.STOPPED)
        gevent.spawn_later(CLIENT_GRACE_S, self._drop, stopped)

    def _drop(self, stopped: list[Live]) -> None:
        """Give up the clients that didn't even take the error event."""
        for live in stopped:
            if live in self.live:
                live.drop_client()

    def leave(self, live: Live) -> None:
        """Let a finished call go."""
        self.live.discard(live)
        fd = live.fd
        if self._by_fd.get(fd) is live:
            del self._by_fd[fd]
            if fd not in self._followed:
                self._unregister(fd)

    def _departed(self) -> None:
        for fd, _ in self._epoll.poll(0):
            live = self._by_fd.pop(fd, None)
            self._unregister(fd)
            if live is not None:
                live.end(Cut.CLIENT_LEFT)

    def _unregister(self, fd: int) -> None:
        with suppress(OSError, ValueError):
            self._epoll.unregister(fd)

    def _sweep_for_ever(self) -> None:
        while True:
            gevent.sleep(SWEEP_S)
            now = time.monotonic()
            for live in list(self.live):
                live.overdue(now)
                if self.heartbeat_s:
                    live.silent(now, self.heartbeat_s)


def _meant(call: Call, calls: frozenset[str], tokens: frozenset[int]) -> bool:
    return call.id in calls or call.caller.token_id in tokens
