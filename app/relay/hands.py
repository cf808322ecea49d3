"""Greenlets that do one piece of work after another: each new one costs the system a piece of memory for its frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import gevent
from greenlet import greenlet

IDLE_MAX = 64


class Hand(greenlet):
    """Does what it is switched to with, and goes back to its parent; between two pieces of work it waits here."""

    waiting: ClassVar[list[Hand]] = []

    @classmethod
    def idle(cls) -> Hand:
        """Return one that waits, of this thread's, or a new one."""
        hub = gevent.get_hub()  # made here if need be: one that is made by a hand would be its child
        return cls.waiting.pop() if cls.waiting and cls.waiting[-1].parent is hub else cls()

    def run(self, work: Callable[[], object]) -> None:
        while True:
            work()
            if len(self.waiting) >= IDLE_MAX:
                return
            back, self.parent = self.parent or gevent.get_hub(), gevent.get_hub()
            self.waiting.append(self)
            del work  # or all that it holds would live as long as nobody needs this one
            work = back.switch()


def soon(work: Callable[[], object]) -> None:
    """Do a piece of work that may wait, aside, in the hub's next turn."""
    hand = Hand.idle()
    hand.parent = hub = gevent.get_hub()
    hub.loop.run_callback(hand.switch, work)
