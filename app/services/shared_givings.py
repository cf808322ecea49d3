"""Gives back in Redis what calls that ended had reserved, beside the calls: each once, in the order of their ends.

Of some more may be told later; then what numbers have of them is corrected, by whichever worker hears of it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

import redis
from gevent.lock import RLock

from app.services.counters import KEPT_MAX, Settled
from app.services.counting_scripts import COMPLETE, GIVE


class Giving(NamedTuple):
    """What one call gives back; ``keep`` is for how long each of the first is kept, in seconds."""

    call_id: str
    settled: Settled
    keep: list[int]


class SharedGivings:
    """What one worker has to give back; it stays here until Redis has taken it."""

    def __init__(self, client: redis.Redis, *, prefix: str, done: Callable[[str], object]) -> None:
        self._give: Any = client.register_script(GIVE)
        self._complete: Any = client.register_script(COMPLETE)
        self._prefix = prefix
        self._done = done
        self._ended: list[Giving] = []
        self._unsure = False
        """Whether the first of them may have been given back already: no answer came."""
        self._completed: list[tuple[str, int]] = []
        self.lock = RLock()

    @property
    def have_room(self) -> bool:
        """Whether as much as that is remembered of another call: otherwise it stays as it was estimated."""
        return len(self._ended) < KEPT_MAX

    def add(self, call_id: str, settled: Settled, *, keep: list[int]) -> None:
        """Give this back soon."""
        self._ended.append(Giving(call_id, settled, keep))

    def complete(self, call_id: str, cost: int) -> None:
        """Correct soon what a call is counted with; of too many the last stay as they were estimated."""
        if len(self._completed) < KEPT_MAX:
            self._completed.append((call_id, cost))

    def give_back(self) -> None:
        """Do it now. Raises what Redis raises."""
        while self._ended:
            with self.lock:
                call_id, settled, keep = self._ended[0]
                numbers = chain.from_iterable((amount, used) for (_, amount), used in settled)
                again, self._unsure = int(self._unsure), True
                keys = [self._prefix + count.key for (count, _), _ in settled]
                self._give(keys, [call_id, again, *numbers, *keep])
                self._unsure = False
                self._ended.pop(0)
                self._done(call_id)
        while self._completed:
            self._complete([], self._completed[0])
            self._completed.pop(0)
