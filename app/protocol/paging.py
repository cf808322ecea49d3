"""How many entries of a list a caller asks for at once."""

from __future__ import annotations

from app.protocol.errors import Problem, RelayError

LIMIT_DEFAULT = 20
DIGITS_MAX = 9
"""A number of more digits is no limit, whatever zeros it begins with: to read a long one costs much, or fails."""


def limit_of(told: str | None, *, most: int) -> int:
    """Return the ``limit`` of a query, the usual one where none is told. Raises ``RelayError`` (400)."""
    if told is None:
        return LIMIT_DEFAULT
    if not told.isdecimal() or len(told) > DIGITS_MAX or not 1 <= int(told) <= most:
        raise RelayError(Problem.INVALID_VALUE, f"'limit' must be 1 to {most}.", param="limit")
    return int(told)
