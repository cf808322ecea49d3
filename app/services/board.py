"""Where workers tell one another what each of them has to know at once: cool-downs, bindings, calls under way.

Each part keeps what it knows in plain dictionaries, so that a call asks nobody; the board carries the news. A worker
that is alone has nobody to tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

Take = Callable[[str, bytes], None]
"""Takes in one piece of news, by its key; empty bytes say that there is nothing more to know."""


class Board(Protocol):
    """News among workers, and claims that one of them alone can have."""

    shared: bool
    """Whether there is anybody to tell."""

    @property
    def away(self) -> bool:
        """Whether they can't be told at the moment."""

    def start(self) -> None:
        """Begin to tell and to listen, in this worker's hub."""

    def catch_up(self) -> None:
        """Take in now what the others told before, as far as they can be heard."""

    def follow(self, topic: str, take: Take) -> None:
        """Have the others' news on a topic, those that still hold and those to come."""

    def tell(self, topic: str, key: str, news: bytes, *, life_s: float) -> None:
        """Tell the others; it holds for a while. Never waits."""

    def claim(self, key: str, *, life_s: float) -> bool:
        """Take what only one may have, until it is released or its life is over. May wait, but not for long."""

    def release(self, key: str) -> None:
        """Give up a claim."""


class Alone:
    """The board of a single worker."""

    shared = False
    away = False

    def __init__(self) -> None:
        self._claims: dict[str, float] = {}

    def start(self) -> None:
        """There is nothing to begin."""

    def catch_up(self) -> None:
        """Nobody told anything."""

    def follow(self, topic: str, take: Take) -> None:
        """Nobody has any."""

    def tell(self, topic: str, key: str, news: bytes, *, life_s: float) -> None:
        """There is nobody to tell."""

    def claim(self, key: str, *, life_s: float) -> bool:
        """Take what only one may have."""
        now = time.monotonic()
        if self._claims.get(key, 0.0) > now:
            return False
        self._claims[key] = now + life_s
        return True

    def release(self, key: str) -> None:
        """Give up a claim."""
        self._claims.pop(key, None)
