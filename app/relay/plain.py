"""Recognises the heads of answers that are plain beyond doubt: whole in the first read, with a body of stated length.

Every other one is llhttp's to read; what both take means the same (RFC 9112).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

HEAD_MAX = 64 * 1024
_PLAIN = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) [\t -~]*+\r\n((?:[A-Za-z0-9-]++:[\t -~]*+\r\n){1,100}+)\r\n")
_LINES = re.compile("([^:]+):([^\r]*)\r\n")
_BODILESS = frozenset({204, 205, 304})
_KEEPS = {"": True, "keep-alive": True, "close": False}
_LENGTH_DIGITS = 15
_UNUSUAL = frozenset({"transfer-encoding", "upgrade", "proxy-connection"})


class Head(NamedTuple):
    """An answer's head: its headers (lower-case names), its own size and its body's, whether the connection is kept."""

    status: int
    headers: dict[str, str]
    size: int
    length: int
    keeps: bool


def read(data: bytes) -> Head | None:
    """Return the head that ``data`` begins with; None where it isn't whole or isn't plain."""
    match = _PLAIN.match(data, 0, HEAD_MAX)
    if match is None or b"ransfer-" in match[2]:
        return None
    lines = _LINES.findall(match[2].decode())
    headers = {_lower(name): value.strip(" \t") for name, value in lines}
    keeps = _KEEPS.get(headers.get("connection", "").lower())
    length, status = headers.get("content-length", ""), int(match[1])
    if len(headers) != len(lines) or not headers.keys().isdisjoint(_UNUSUAL) or keeps is None or status in _BODILESS:
        return None
    if not length.isdecimal() or len(length) > _LENGTH_DIGITS:
        return None
    return Head(status, headers, match.end(), int(length), keeps)


@lru_cache(maxsize=1024)
def _lower(name: str) -> str:
    return name.lower()
