"""What each account was found not to read: one worker is told by a provider, and all of them go by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b

from app.protocol.call import Place
from app.protocol.recent import Recent
from app.services.board import Board

TOPIC = "unread"
MARKS_MAX = 50_000
TOLD_MAX = 1000
"""Marks of one call that the others are told of."""


class Unread:
    """Marks of sealed state by account, the most recent last; the port ``relay.ports.Unread``."""

    def __init__(self, board: Board, *, life_s: float) -> None:
        self._board = board
        self._life_s = life_s
        self._marks: dict[int, Recent[bytes, None]] = {}
        board.follow(TOPIC, self._take)

    def by(self, place: Place) -> Mapping[bytes, None]:
        """Return the marks of what an account can't read."""
        return self._marks.get(place.credential_id, {})

    def learned(self, place: Place, marks: Iterable[bytes]) -> None:
        """Take note of more, and tell the others; they keep it for as long as a conversation may rest."""
        new = sorted({*marks} - self.by(place).keys())
        self._keep(place.credential_id, marks)
        if new:
            key = f"{place.credential_id}:{blake2b(b''.join(new), digest_size=12).hexdigest()}"
            self._board.tell(TOPIC, key, " ".join(mark.hex() for mark in new[:TOLD_MAX]).encode(), life_s=self._life_s)

    def _take(self, key: str, news: bytes) -> None:
        with suppress(ValueError):  # another release's
            self._keep(int(key.partition(":")[0]), [bytes.fromhex(mark) for mark in news.decode().split()])

    def _keep(self, credential_id: int, marks: Iterable[bytes]) -> None:
        known = self._marks.setdefault(credential_id, Recent(MARKS_MAX))
        for mark in marks:
            known.keep(mark, None)
