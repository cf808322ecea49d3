"""A mapping that keeps what was put into it last, so that it never grows over a bound."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V]):
    """At most ``most`` values by their keys, the one kept last at the end.

    A plain dict finds its oldest key ever more slowly: it walks over all that were taken from its front before.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: K, value: V) -> None:
        """Put a value in as the last; of too many the first goes."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
