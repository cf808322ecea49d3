"""Waits for a piece of work without being bound to it: who asked for it may go on while the work goes on.

The work runs in a greenlet of its own, entered and left by a plain switch, which costs next to nothing where it ends
in time. Only one that doesn't is handed to the hub. Such greenlets are used again: each new one costs the system a
piece of memory for its frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, cast

import gevent
from gevent.event import Event
from greenlet import getcurrent, greenlet

from app.relay.wire import Silence

IDLE_MAX = 64
_T = TypeVar("_T")


class _Worker(greenlet):
    """Does one piece of work after another; between two of them it waits here."""

    idle: ClassVar[list[_Worker]] = []

    @classmethod
    def at_hand(cls) -> _Worker:
        """Return one that waits, of this thread's, or a new one."""
        hub = gevent.get_hub()  # made here if need be: one that is made by a worker would be its child
        return cls.idle.pop() if cls.idle and cls.idle[-1].parent is hub else cls()

    def run(self, work: Callable[[], None]) -> None:
        while True:
            work()
            if len(self.idle) >= IDLE_MAX:
                return
            back, self.parent = self.parent or gevent.get_hub(), gevent.get_hub()
            self.idle.append(self)
            del work  # or all that it holds would live as long as nobody needs this one
            work = back.switch()


class Patience(Generic[_T]):
    """One piece of work that somebody waits for. ``over`` tells whether the work has come to its end."""

    __slots__ = ("_after", "_asker", "_ended", "_error", "_result", "_work", "_worker", "over")

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._asker = getcurrent()
        self._worker = _Worker.at_hand()
        self._result: Any = None
        self._error: Exception | None = None
        self._ended: Event | None = None
        self._after: Callable[[_T], None] | None = None
        self.over = False

    def begin(self) -> _T:
        """Do the work and return what comes of it; raises what it raises, or ``Silence`` when interrupted."""
        self._worker.parent = self._asker
        self._worker.switch(self._run)
        if not self.over:
            self._worker.parent = gevent.get_hub()
            self._ended = Event()
            raise Silence
        return self._outcome()

    def interrupt(self) -> None:
        """Let ``begin`` raise ``Silence``; the work goes on."""
        gevent.get_hub().loop.run_callback(self._wake)

    def wait(self, seconds: float) -> _T | None:
        """Once ``begin`` was interrupted: return what comes of the work, None if it takes longer. Raises as it does."""
        if self._ended is not None:
            self._ended.wait(seconds)
        return self._outcome() if self.over else None

    def then(self, action: Callable[[_T], None]) -> None:
        """Do this with what comes of the work, once it does; nothing if it fails."""
        self._after = action

    def _outcome(self) -> _T:
        if self._error is not None:
            raise self._error
        return cast("_T", self._result)

    def _run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            self._error = error
        self.over = True
        if self._ended is not None:
            self._ended.set()
        if self._after is not None and self._error is None:
            self._after(self._result)

    def _wake(self) -> None:
        if not self.over and self._worker.parent is self._asker:
            self._asker.switch()
