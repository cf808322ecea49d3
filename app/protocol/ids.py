"""Ids: ours, and the shape of those that upstreams mint."""

from __future__ import annotations

import os
import re
import time

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
OBJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_=.:+~-]{0,511}")
"""What may stand in a path: real ids reach 480 characters, with ``-``, ``_`` and ``=``."""


def call_id() -> str:
    """Return a new call id: 32 hex digits that sort by time (milliseconds, then 80 random bits)."""
    return f"{time.time_ns() // 1_000_000:012x}{_draws.next()}"


class _Draws:
    """Random bits of the kernel's, drawn many at a time; a forked process draws its own."""

    def __init__(self) -> None:
        self._ready: list[str] = []
        os.register_at_fork(after_in_child=self._ready.clear)

    def next(self) -> str:
        if not self._ready:
            drawn = os.urandom(10 * 512).hex()
            self._ready += [drawn[at : at + 20] for at in range(0, len(drawn), 20)]
        return self._ready.pop()


_draws = _Draws()


def wanted_request_id(told: str) -> str:
    """Return the client's request id where it has the right shape, else nothing."""
    return told if told and REQUEST_ID.fullmatch(told) else ""


def is_object_id(value: str) -> bool:
    """Whether a value can be an object's id; anything else is not found without asking anyone."""
    return OBJECT_ID.fullmatch(value) is not None and ".." not in value


def is_revealed_id(value: object) -> bool:
    """Whether an id in an answer can be registered: 1 to 512 printable ASCII characters, whatever its shape."""
    return isinstance(value, str) and 1 <= len(value) <= 512 and value.isascii() and value.isprintable()
