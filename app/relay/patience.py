"""Waits for a piece of work without being bound to it: who asked for it may go on while the work goes on.

The work runs in a greenlet of its own, entered and left by a plain switch, which costs next to nothing where it ends
in time. Only one that doesn't is handed to the hub.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import gevent
from gevent.event import Event
from greenlet import getcurrent

from app.relay.hands import Hand
from app.relay.wire import Silence

_T = TypeVar("_T")


class Patience(Generic[_T]):
    """One piece of work that somebody waits for. ``over`` tells whether the work has come to its end."""

    __slots__ = ("_after", "_asker", "_ended", "_error", "_hand", "_result", "_work", "over")

    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self._asker = getcurrent()
        self._hand = Hand.idle()
        self._result: Any = None
        self._error: Exception | None = None
        self._ended: Event | None = None
        self._after: Callable[[_T], None] | None = None
        self.over = False

    def begin(self) -> _T:
        """Do the work and return what comes of it; raises what it raises, or ``Silence`` when interrupted."""
        self._hand.parent = self._asker
        self._hand.switch(self._run)
        if not self.over:
            self._hand.parent = gevent.get_hub()
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
        """Do this with what comes of the work, at once if it has come; nothing if it fails."""
        self._after = action
        if self.over and self._error is None:
            action(self._outcome())

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
        if not self.over and self._hand.parent is self._asker:
            self._asker.switch()
