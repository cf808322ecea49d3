"""Limits as the hot path sees them: one number that may not be passed, of one kind, for one subject."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import chain

import msgspec

from app.protocol.endpoints import Shape
from app.protocol.usage import Usage


class Measure(StrEnum):
    """What is limited, and over which time; money in nano-dollars, times by UTC."""

    REQUESTS = "requests_minute"
    TOKENS = "tokens_minute"
    CONCURRENT = "concurrent"
    DAY = "money_day"
    WEEK = "money_week"
    MONTH = "money_month"
    TOTAL = "money_total"
    CONVERSATION = "money_conversation"

    @property
    def is_money(self) -> bool:
        return self.value.startswith("money")


REQUESTS, CALLS, TOKENS, MONEY = range(4)
"""Units that limits are counted in: requests made, calls at a time, tokens, nano-dollars."""
UNITS = {Measure.REQUESTS: REQUESTS, Measure.CONCURRENT: CALLS, Measure.TOKENS: TOKENS}
OUTPUT_BOUNDS = {
    Shape.RESPONSES: ("max_output_tokens",),
    Shape.CHAT: ("max_completion_tokens", "max_tokens"),
    Shape.MESSAGES: ("max_tokens",),
}
"""What bounds an answer, by its shape; a provider may pass over any other."""
BOUNDS = frozenset({*chain.from_iterable(OUTPUT_BOUNDS.values()), "n", "service_tier"})
"""The members of a request that tell how much it may cost."""
INPUT_MOST = 200_000
"""Tokens that a request is estimated at, at most: pictures in it are many bytes and few tokens."""
YOUNG_S = 3700
"""So long after it was set a limit may meet calls that are older: a stream may last an hour."""


class Rule(msgspec.Struct, frozen=True):
    """At most ``most`` of a measure for a subject; ``model`` narrows it to one model or to a beginning of names.

    ``counted_as`` changes when what was used has to be asked for again: a number from before a limit was taken
    away has nothing of what was used since. It begins with when that was, in eight hexadecimal digits. ``key`` is what
    is counted under, ``unit`` what in; both follow from the others.
    """

    scope: str
    subject_id: int
    measure: Measure
    most: int
    model: str = ""
    counted_as: str = ""
    key: str = ""
    unit: int = MONEY

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "unit", UNITS.get(self.measure, MONEY))
        key = f"{self.scope}:{self.subject_id}:{self.measure.value}:{self.model}"
        msgspec.structs.force_setattr(self, "key", f"{key}:{self.counted_as}" if self._lasts else key)

    @property
    def money(self) -> bool:
        return self.unit == MONEY

    @property
    def _lasts(self) -> bool:
        return self.unit in {CALLS, MONEY}

    def is_young(self, now: float) -> bool:
        """Whether calls may be under way that are older than this limit."""
        begun = self.counted_as[:8]
        return self._lasts and len(begun) == 8 and abs(now - int(begun, 16)) < YOUNG_S

    def covers(self, model: str) -> bool:
        """Whether calls for a model count here."""
        narrow = self.model
        return not narrow or model == narrow or (narrow.endswith("*") and model.startswith(narrow[:-1]))


class Span(msgspec.Struct, frozen=True):
    """The time that a measure is counted over, in seconds since the epoch; ``end`` is None where there is none."""

    start: int
    end: int | None


ALWAYS = Span(0, None)


def spans(now: float) -> dict[Measure, Span]:
    """Return the spans that ``now`` lies in."""
    moment = datetime.fromtimestamp(now, UTC)
    minute = int(now) // 60 * 60
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - timedelta(days=midnight.weekday())
    first = midnight.replace(day=1)
    return {
        Measure.REQUESTS: Span(minute, minute + 60),
        Measure.TOKENS: Span(minute, minute + 60),
        Measure.CONCURRENT: ALWAYS,
        Measure.DAY: _span(midnight, midnight + timedelta(days=1)),
        Measure.WEEK: _span(monday, monday + timedelta(days=7)),
        Measure.MONTH: _span(first, (first + timedelta(days=32)).replace(day=1)),
        Measure.TOTAL: ALWAYS,
        Measure.CONVERSATION: ALWAYS,
    }


def counted(usage: Usage) -> int:
    """Return the tokens that count against a limit of tokens: all but those read from a cache."""
    read = (usage.input or 0) + (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
    return read + (usage.output or 0)


def _span(start: datetime, end: datetime) -> Span:
    return Span(int(start.timestamp()), int(end.timestamp()))
