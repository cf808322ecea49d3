"""Ids: ours, and the shape of those that upstreams mint."""

from __future__ import annotations

import re
import secrets
import time

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
OBJECT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_=.:+~-]{0,511}")
"""What may stand in a path: real ids reach 480 characters, with ``-``, ``_`` and ``=``."""


def call_id() -> str:
    """Return a new call id: 32 hex digits that sort by time (milliseconds, then 80 random bits)."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def request_id(wanted: str, call: str) -> str:
    """Return the client's request id where it has the right shape, else one of ours."""
    return wanted if wanted and REQUEST_ID.fullmatch(wanted) else f"req_{call}"


def is_object_id(value: str) -> bool:
    """Whether a value can be an object's id; anything else is not found without asking anyone."""
    return OBJECT_ID.fullmatch(value) is not None and ".." not in value


def is_revealed_id(value: object) -> bool:
    """Whether an id in an answer can be registered: 1 to 512 printable ASCII characters, whatever its shape."""
    return isinstance(value, str) and 1 <= len(value) <= 512 and value.isascii() and value.isprintable()
