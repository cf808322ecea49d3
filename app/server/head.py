"""Recognises the heads of requests that are plain beyond doubt, and turns them into the entries of a WSGI environ.

What is taken here is a strict part of what gunicorn's own parser takes, and means the same there (RFC 9112, PEP 3333):
one spelling for each thing, ASCII only, no name twice, a body of stated length. Everything else is gunicorn's to judge.

A program sends the same head again and again, but for the length of what follows; what was read of one is kept, by its
very bytes, and so is what others have made of it (``KNOWN``).
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from app.api.asked import KNOWN
from app.protocol.recent import Recent

HEAD_MAX = 8190
"""In bytes; no line of a shorter head can be over any of gunicorn's limits."""
_PLAIN = re.compile(
    rb"(GET|HEAD|POST|DELETE) ((/(?!/)[A-Za-z0-9_.~:@=+,/-]*+)(?:\?([!\"$-~]*+))?) HTTP/1\.1\r\n"
    rb"((?:[A-Za-z0-9-]++:[\t -~]*+\r\n){1,100}+)\r\n"
)
_LINES = re.compile("([^:]+):([^\r]*)\r\n")
_UNUSUAL = frozenset({
    "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_UPGRADE", "HTTP_HTTP2_SETTINGS", "HTTP_TE", "HTTP_TRAILER",
})  # fmt: skip
_KEEPS = {"": False, "keep-alive": False, "close": True}
_LENGTH_DIGITS = 15
_KEYS_MAX = 1024
_keys: dict[str, str] = {}
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,15})\r\n")
_KEPT_MAX, _KEPT_SIZE = 1024, 2048


class Head(NamedTuple):
    """A request's head: its environ entries, its own size and its body's in bytes, and whether the connection ends.

    The environ is another request's too, and not to be changed.
    """

    environ: dict[str, Any]
    size: int
    length: int
    closes: bool


_kept: Recent[bytes, Head] = Recent(_KEPT_MAX)


def read(data: bytes) -> Head | None:
    """Return the head that ``data`` begins with, or None where it isn't whole or isn't plain."""
    size = data.find(b"\r\n\r\n", 0, HEAD_MAX) + 4
    stated = _LENGTH.search(data, 0, size)
    if stated is None or size > _KEPT_SIZE:
        return _parsed(data)
    start, end = stated.span(1)
    key = data[:start] + data[end:size]
    head = _kept.get(key)
    if head is None:
        head = _parsed(data)
        if head is None:
            return None
        head.environ[KNOWN] = {}
        _kept.keep(key, head)
    length = int(stated[1])
    if length == head.length and size == head.size:
        return head
    return Head(head.environ | {"CONTENT_LENGTH": str(length)}, size, length, head.closes)


def _parsed(data: bytes) -> Head | None:
    match = _PLAIN.match(data, 0, HEAD_MAX)
    if match is None:
        return None
    method, target, path, query, block = match.groups()
    lines = _LINES.findall(block.decode())
    environ: dict[str, Any] = {_keys.get(name) or _key(name): value.strip(" \t") for name, value in lines}
    if len(environ) != len(lines) or not environ.keys().isdisjoint(_UNUSUAL):
        return None
    closes = _KEEPS.get(environ.get("HTTP_CONNECTION", "").lower())
    length = _length(environ, method)
    if closes is None or length is None or "HTTP_HOST" not in environ:
        return None
    environ["REQUEST_METHOD"] = method.decode()
    environ["RAW_URI"] = target.decode()
    environ["PATH_INFO"] = path.decode()
    environ["QUERY_STRING"] = (query or b"").decode()
    return Head(environ, match.end(), length, closes)


def _length(environ: dict[str, str], method: bytes) -> int | None:
    """Return the body's length; None where gunicorn has to say what it is."""
    stated = environ.get("CONTENT_LENGTH")
    if stated is None:
        return 0 if method != b"POST" else None
    return int(stated) if stated.isdecimal() and len(stated) <= _LENGTH_DIGITS else None


def _key(name: str) -> str:
    """Return the environ's name for a header, and remember it: the same few come with every request."""
    key = name.upper().replace("-", "_")
    if key and key not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
        key = f"HTTP_{key}"
    if len(_keys) < _KEYS_MAX:
        _keys[name] = key
    return key
