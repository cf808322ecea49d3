"""Which counts of money may have missed something, and what they say was spent: where one worker counts alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.models.base import utcnow
from app.services.counters import Counters


class Recounts:
    """Kept in this process, as the counts are."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._doubted: dict[str, float] = {}

    def doubt(self, places: Iterable[str]) -> None:
        """Let what is counted for these be held against the sums."""
        self._doubted |= dict.fromkeys(places, utcnow().timestamp())

    def doubted(self) -> dict[str, float]:
        """Return what this worker should look at now, and since when each is in doubt."""
        return dict(self._doubted)

    def sure(self, places: Mapping[str, float]) -> None:
        """These are right, but for those that came into doubt again meanwhile."""
        for place, since in places.items():
            if self._doubted.get(place) == since:
                del self._doubted[place]

    def said(self, keys: list[str]) -> list[int | None]:
        """Return what each count says was spent, reservations left out; None where nobody counts."""
        return [self._counters.said(key) for key in keys]

    def correct(self, spent: dict[str, int]) -> list[int | None]:
        """Bring counts that say less up to what was spent; return what they said."""
        said = self.said(list(spent))
        for (key, known), counted in zip(spent.items(), said, strict=True):
            if counted is not None and counted < known:
                self._counters.add(key, known - counted)
        return said
