"""Charts as plain SVG of the server: no script, no style of their own, and the same numbers in a table below."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
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


@dataclass(frozen=True, slots=True)
class Step:
    """An hour or a day of a trend: what it is called, from when to when as addresses have it, and its sums."""

    label: str
    since: str
    until: str
    sums: Totals


@dataclass(frozen=True, slots=True)
class Bar:
    """One column, in units of the drawing: the origin is its upper left corner."""

    label: str
    value: int
    x: float
    y: float
    width: float
    height: float


def hours(trend: Iterable[tuple[datetime, Totals]]) -> list[Step]:
    """Return the steps of a trend by the hour."""
    return [Step(f"{at:%H:%M}", times.written(at), times.written(at + timedelta(hours=1)), sums) for at, sums in trend]


def days(trend: Iterable[tuple[datetime, Totals]]) -> list[Step]:
    """Return the steps of a trend by the day."""
    return [Step(f"{at:%m-%d}", f"{at.date()}", f"{at.date()}", sums) for at, sums in trend]


def bars(points: Sequence[tuple[str, int]]) -> list[Bar]:
    """Return one column for each (label, value), the highest as high as the drawing."""
    most = max((value for _label, value in points), default=0)
    step = WIDTH / max(len(points), 1)
    drawn = []
    for n, (label, value) in enumerate(points):
        height = max(round(HEIGHT * value / most, 1), LEAST) if value and most else 0
        drawn.append(Bar(label, value, round(n * step, 1), HEIGHT - height, round(step * (1 - GAP), 1), height))
    return drawn
