"""Charts as plain SVG of the server: no script, no style of their own, and the same numbers in a table below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, HEIGHT = 600, 120
GAP = 0.2
"""The part of a column that stays free."""
LEAST = 2
"""Units of height that something which isn't nothing has at least."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One column, in units of the drawing: the origin is its upper left corner."""

    label: str
    value: int
    x: float
    y: float
    width: float
    height: float


def bars(points: Sequence[tuple[str, int]]) -> list[Bar]:
    """Return one column for each (label, value), the highest as high as the drawing."""
    most = max((value for _label, value in points), default=0)
    step = WIDTH / max(len(points), 1)
    drawn = []
    for n, (label, value) in enumerate(points):
        height = max(round(HEIGHT * value / most, 1), LEAST) if value and most else 0
        drawn.append(Bar(label, value, round(n * step, 1), HEIGHT - height, round(step * (1 - GAP), 1), height))
    return drawn
