"""Which credential a conversation is with: a preference that slides on with each of its calls."""

from __future__ import annotations

import time
from collections import OrderedDict

import msgspec

from app.services.board import Board

TOPIC = "affinity"
BINDINGS_MAX = 100_000
RETOLD = 0.1
"""The others are told anew once this part of a binding's life is over, not with every call."""


class _Binding(msgspec.Struct):
    credential_id: int
    until: float
    told: float


class Affinity:
    """Bindings of conversations to credentials, by key; the most recent last."""

    def __init__(self, board: Board, *, life_s: float) -> None:
        self._board = board
        self._life_s = life_s
        self._bindings: OrderedDict[str, _Binding] = OrderedDict()  # a dict finds its oldest key ever more slowly
        board.follow(TOPIC, self._take)

    def of(self, key: str) -> int | None:
        """Return the id of the credential that a conversation is with."""
        binding = self._bindings.get(key)
        return binding.credential_id if binding is not None and binding.until > time.monotonic() else None

    def bind(self, key: str, credential_id: int) -> None:
        """Let a conversation be with a credential from now on."""
        now = time.monotonic()
        binding = self._bindings.pop(key, None)
        if binding is None or binding.credential_id != credential_id or now - binding.told > self._life_s * RETOLD:
            binding = _Binding(credential_id, 0.0, now)
            self._board.tell(TOPIC, key, b"%d" % credential_id, life_s=self._life_s)
        binding.until = now + self._life_s
        self._keep(key, binding, now)

    def _take(self, key: str, news: bytes) -> None:
        now = time.monotonic()
        self._bindings.pop(key, None)
        if news:
            self._keep(key, _Binding(int(news), now + self._life_s, now), now)

    def _keep(self, key: str, binding: _Binding, now: float) -> None:
        """Keep a binding, and let the oldest two go where they are over or too many."""
        self._bindings[key] = binding
        for _ in range(2):
            oldest = next(iter(self._bindings.values()))
            if oldest.until > now and len(self._bindings) <= BINDINGS_MAX:
                return
            self._bindings.popitem(last=False)
