"""The line of calls that wait for a place: whoever came first goes first, strictly, to whatever becomes free.

What one model waits for can serve another, too, so there is one line for all of a worker. Where the first of those who
want the same finds nothing, the others need not look. One greenlet serves the line, and only while anybody stands in
it; whoever comes later takes nothing that somebody in the line waits for.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from heapq import heapify, heappop, heapreplace
from typing import Generic, TypeVar

import gevent
from gevent.event import Event

_T = TypeVar("_T")
WAITING_MAX = 1000
"""Calls of one worker that may wait for a place; more are told at once."""
OF_ONE_MAX = 250
"""Calls of one user among them: nobody takes the line for himself."""
ALIKE_MIN = 100
"""Of calls that want the same so many may always stand in line: it may be free, and only others' wait is long."""
LOOK_S = 0.25
"""How long the line rests at most before it is looked at again, whatever was told."""


class Spot(Generic[_T]):
    """Where one call stands.

    ``wanted`` is equal for calls that find the same or nothing, ``places`` are the credentials that it could be served
    with, ``who`` is the user. ``take`` takes a place where there is one, ``give_back`` frees it again for who left
    meanwhile, ``returns_s`` tells in how many seconds there may be one.
    """

    __slots__ = ("_called", "give_back", "granted", "number", "places", "returns_s", "take", "wanted", "who")

    def __init__(
        self,
        wanted: Hashable,
        places: frozenset[int],
        *,
        who: int = 0,
        take: Callable[[], _T | None],
        give_back: Callable[[_T], None],
        returns_s: Callable[[], float | None],
    ) -> None:
        self.wanted = wanted
        self.places = places
        self.who = who
        self.take = take
        self.give_back = give_back
        self.returns_s = returns_s
        self.number = 0
        self.granted: _T | None = None
        """The place that was taken for it."""
        self._called = Event()

    def wait(self, seconds: float) -> _T | None:
        """Return the place once it is there, None if that takes longer."""
        self._called.wait(seconds)
        return self.granted

    def call(self, granted: _T) -> None:
        """Hand over the place."""
        self.granted = granted
        self._called.set()


class Line(Generic[_T]):
    """All who wait, in order."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, OrderedDict[int, Spot[_T]]] = {}
        self._wanted: Counter[int] = Counter()
        self._of: Counter[int] = Counter()
        self._last = 0
        self._waiting = 0
        self._changed = Event()
        self._server: gevent.Greenlet[..., None] | None = None

    def __len__(self) -> int:
        return self._waiting

    def waits_for(self, credential_id: int) -> bool:
        """Whether anybody who came before could be served with a credential."""
        return bool(self._groups) and self._wanted[credential_id] > 0

    def changed(self) -> None:
        """Somebody may be served now who could not be a moment ago. Costs nothing while nobody waits."""
        if self._groups:
            self._changed.set()

    def join(self, spot: Spot[_T]) -> bool:
        """Stand behind all others; False where too many do."""
        alike = self._groups.get(spot.wanted, ())
        if (self._waiting >= WAITING_MAX and len(alike) >= ALIKE_MIN) or self._of[spot.who] >= OF_ONE_MAX:
            return False
        self._last += 1
        spot.number = self._last
        self._waiting += 1
        self._groups.setdefault(spot.wanted, OrderedDict())[spot.number] = spot
        self._wanted.update(spot.places)
        self._of[spot.who] += 1
        self._changed.set()
        if self._server is None or self._server.ready():
            self._server = gevent.spawn(self._serve_while_any_wait)
        return True

    def leave(self, spot: Spot[_T]) -> None:
        """Wait no longer; a place that was taken meanwhile is given back."""
        self._remove(spot)
        if spot.granted is not None:
            spot.give_back(spot.granted)

    def _remove(self, spot: Spot[_T]) -> bool:
        group = self._groups.get(spot.wanted)
        if group is None or group.pop(spot.number, None) is None:
            return False
        if not group:
            del self._groups[spot.wanted]
        self._waiting -= 1
        self._wanted.subtract(spot.places)
        self._of[spot.who] -= 1
        if not self._groups:
            self._wanted.clear()
            self._of.clear()
        return True

    # -- serving ------------------------------------------------------------------------------------------------------
    def _serve_while_any_wait(self) -> None:
        while self._groups:
            self._changed.clear()
            self._serve()
            told = [_first(group).returns_s() for group in self._groups.values()]
            self._changed.wait(min([LOOK_S, *(seconds for seconds in told if seconds and seconds > 0)]))

    def _serve(self) -> None:
        """Give out what there is, in the order in which they came."""
        order = [(_first(group).number, wanted) for wanted, group in self._groups.items()]
        heapify(order)
        while order:
            number, wanted = order[0]
            group = self._groups.get(wanted)
            passed = group and (_first(group).number != number or self._served(_first(group)))
            if passed and group:  # somebody is left in it
                heapreplace(order, (_first(group).number, wanted))
            else:
                heappop(order)

    def _served(self, spot: Spot[_T]) -> bool:
        """Take a place for somebody, who may leave while that is asked about."""
        granted = spot.take()
        if granted is None:
            return False
        if self._remove(spot):
            spot.call(granted)
        else:
            spot.give_back(granted)
        return True


def _first(group: OrderedDict[int, Spot[_T]]) -> Spot[_T]:
    return next(iter(group.values()))
