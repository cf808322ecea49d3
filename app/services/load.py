"""How many calls are under way at each upstream and with each credential, in this worker and in all others."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import lru_cache

import gevent
import msgspec

from app.protocol.call import Place
from app.services.board import Board

TOPIC = "load"
TELL_S = 0.05
LIFE_S = 10.0
"""How long a worker's numbers hold: one that died has no calls under way."""
_counts = msgspec.json.Decoder(dict[str, int])


class Load:
    """Counts of calls under way, by key."""

    def __init__(self, board: Board, *, changed: Callable[[], None] = lambda: None) -> None:
        self._board = board
        self._changed = changed
        """Called when there is room for one more."""
        self._mine: dict[str, int] = {}
        self._others: dict[str, tuple[float, dict[str, int]]] = {}
        self._sum: dict[str, int] = {}
        self._used: dict[str, float] = {}
        self._told: dict[str, int] = {}
        self._told_at = 0.0
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"
        board.follow(TOPIC, self._take)

    def start(self) -> None:
        """Begin to tell the others, if there are any, in this worker's hub."""
        if self._board.shared:
            gevent.spawn(self._tell_for_ever)

    def of(self, key: str) -> int:
        """Return how many calls are under way."""
        return self._mine.get(key, 0) + self._sum.get(key, 0)

    def last_used(self, key: str) -> float:
        """Return when a call last began here with a credential, on the monotonic clock."""
        return self._used.get(key, 0.0)

    def begin(self, place: Place) -> None:
        """A call begins."""
        mine = self._mine
        upstream, credential = _keys(place.upstream_id, place.credential_id)
        mine[upstream] = mine.get(upstream, 0) + 1
        mine[credential] = mine.get(credential, 0) + 1
        self._used[credential] = time.monotonic()

    def end(self, place: Place) -> None:
        """A call is over."""
        mine = self._mine
        for key in _keys(place.upstream_id, place.credential_id):
            left = mine.get(key, 0) - 1
            if left > 0:
                mine[key] = left
            else:
                mine.pop(key, None)
        self._changed()

    def _tell_for_ever(self) -> None:
        while True:
            gevent.sleep(TELL_S)
            now = time.monotonic()
            if self._mine != self._told or (self._mine and now - self._told_at > LIFE_S / 3):
                self._told, self._told_at = dict(self._mine), now
                self._board.tell(TOPIC, self._name, msgspec.json.encode(self._told), life_s=LIFE_S)
            if any(now - at > LIFE_S for at, _ in self._others.values()):
                self._add_up()

    def _take(self, name: str, news: bytes) -> None:
        if name != self._name:
            self._others[name] = (time.monotonic(), _counts.decode(news) if news else {})
            self._add_up()

    def _add_up(self) -> None:
        oldest = time.monotonic() - LIFE_S
        self._others = {name: told for name, told in self._others.items() if told[0] > oldest and told[1]}
        total: dict[str, int] = {}
        for _, counts in self._others.values():
            for key, count in counts.items():
                total[key] = total.get(key, 0) + count
        self._sum = total
        self._changed()


@lru_cache(maxsize=4096)
def _keys(upstream_id: int, credential_id: int) -> tuple[str, str]:
    """Return what a call at a place is counted by: its upstream, its credential."""
    return f"u:{upstream_id}", f"c:{credential_id}"
