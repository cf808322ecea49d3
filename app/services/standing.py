"""How far the limits of somebody are used up, as those who count see it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec

from app.protocol.limit import Measure, Rule, spans
from app.services.counters import Counters
from app.services.spent import Spent


class Standing(msgspec.Struct, frozen=True):
    """A rule, what is used or reserved under it, when that begins anew and when it began (None: never)."""

    rule: Rule
    used: int
    resets_at: datetime | None
    begins_at: datetime | None = None

    @property
    def left(self) -> int:
        return max(0, self.rule.most - self.used)

    @property
    def share(self) -> float:
        """How much of it is used, from 0 to 1."""
        return min(1.0, self.used / self.rule.most) if self.rule.most else 1.0


class Standings:
    """Tells of limits; asks the database where nobody has counted yet."""

    def __init__(self, counters: Counters, spent: Spent) -> None:
        self._counters = counters
        self._spent = spent

    def of(self, rules: tuple[Rule, ...]) -> list[Standing]:
        """Return how each rule stands, but for those of conversations, of which each has its own."""
        shown = [rule for rule in rules if rule.measure is not Measure.CONVERSATION]
        now = spans(time.time_ns() / 1e9)
        used = self._counters.peek([f"{rule.key}:{now[rule.measure].start}" for rule in shown])
        told = []
        for rule, count in zip(shown, used, strict=True):
            span = now[rule.measure]
            known = count if count is not None else self._spent.under(rule, span)() if rule.money else 0
            told.append(Standing(rule, known, _moment(span.end), _moment(span.start or None)))
        return told


def _moment(at: int | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
