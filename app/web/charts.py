"""Charts as plain SVG of the server: no script, no style of their own, and the same numbers in a table below."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from app.web import times

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from app.services.reports import Totals

WIDTH, HEIGHT = 600, 120
GAP = 0.2
"""The part of a column that stays free."""
LEAST = 2
"""Units of height that something which isn't nothing has at least."""
MARKS = 7
"""Labels that there is room for on a phone."""


@dataclass(frozen=True, slots=True)
class Step:
    """An hour or a day of a trend: what it is called, from when to when as addresses have it, and its sums."""

    label: str
    since: str
    until: str
    sums: Totals


@dataclass(frozen=True, slots=True)
class Bar:
    """One column, in units of the drawing: the origin is its upper left corner.

    ``errors`` is the lower part of ``value``, ``bad`` its height; ``mark`` is the label where there is room for one.
    """

    label: str
    value: int
    errors: int
    x: float
    width: float
    height: float
    bad: float
    mark: str

    @property
    def y(self) -> float:
        return HEIGHT - self.height


def hours(trend: Iterable[tuple[datetime, Totals]]) -> list[Step]:
    """Return the steps of a trend by the hour."""
    return [Step(times.hour(at), times.written(at), times.written(_over(at)), sums) for at, sums in trend]


def days(trend: Iterable[tuple[datetime, Totals]]) -> list[Step]:
    """Return the steps of a trend by the day."""
    return [Step(f"{at:%m-%d}", f"{at.date()}", f"{at.date()}", sums) for at, sums in trend]


def bars(steps: Sequence[Step]) -> list[Bar]:
    """Return one column of requests for each step, the highest as high as the drawing."""
    most = max((step.sums.requests for step in steps), default=0)
    width = WIDTH / max(len(steps), 1)
    apart = -(-len(steps) // MARKS)
    return [
        Bar(
            label=step.label,
            value=step.sums.requests,
            errors=step.sums.errors,
            x=round((n + GAP / 2) * width, 1),
            width=round(width * (1 - GAP), 1),
            height=_height(step.sums.requests, most),
            bad=_height(step.sums.errors, most),
            mark=step.label.partition(" ")[0] if n % apart == 0 else "",
        )
        for n, step in enumerate(steps)
    ]


def _over(hour: datetime) -> datetime:
    """Return when an hour is over: by UTC, for clocks may be put on or back meanwhile."""
    return hour.astimezone(UTC) + timedelta(hours=1)


def _height(count: int, most: int) -> float:
    return max(round(HEIGHT * count / most, 1), LEAST) if count and most else 0
