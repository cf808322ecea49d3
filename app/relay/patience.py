"""Waits for a piece of work without being bound to it: who asked for it may go on while the work goes on.

The work runs in a greenlet of its own, entered and left by a plain switch, which costs next to nothing where it ends
in time. Only one that doesn't is handed to the hub. Such greenlets are used again: each new one costs the system a
piece of memory for its frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, cast

import gevent
from gevent.event import AsyncResult
from greenlet import getcurrent, greenlet

from app.relay.wire import Silence

IDLE_MAX = 64
_T = TypeVar("_T")


class _Worker(greenlet):
    """Does one piece of work after another; between two of them it waits here."""

    idle: ClassVar[list[_Worker]] = []

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
    """One piece of work that somebody waits for."""

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._done: AsyncResult[Any] = AsyncResult()
        self._asker = getcurrent()
        self._worker = _Worker.idle.pop() if _Worker.idle else _Worker()

    def begin(self) -> _T:
        """Do the work and return what comes of it; raises what it raises, or ``Silence`` when interrupted."""
        self._worker.parent = self._asker
        self._worker.switch(self._run)
        if not self._done.ready():
            self._worker.parent = gevent.get_hub()
            raise Silence
        return cast("_T", self._done.get())

    def interrupt(self) -> None:
        """Let ``begin`` raise ``Silence``; the work goes on."""
        gevent.get_hub().loop.run_callback(self._wake)

    def wait(self, seconds: float) -> _T | None:
        """Once ``begin`` was interrupted: return what comes of the work, None if it takes longer. Raises as it does."""
        self._done.wait(seconds)
        return self._done.get() if self._done.ready() else None

    @property
    def over(self) -> bool:
        """Whether the work has come to its end."""
        return self._done.ready()

    def then(self, action: Callable[[_T], None]) -> None:
        """Do this with what comes of the work, once it does; nothing if it fails."""
        self._done.rawlink(lambda done: action(cast("_T", done.get())) if done.successful() else None)

    def _run(self) -> None:
        try:
            self._done.set(self._work())
        except Exception as error:  # noqa: BLE001 - whoever waits is told
            self._done.set_exception(error)

    def _wake(self) -> None:
        if not self._done.ready() and self._worker.parent is self._asker:
            self._asker.switch()
