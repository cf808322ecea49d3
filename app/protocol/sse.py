"""Cuts a byte stream into whole server-sent events without changing a byte (WHATWG HTML, 9.2 Server-sent events).

Lines end in LF, CRLF or CR; a blank line ends an event. Nothing here decodes or copies more than it must: the relay
forwards blocks of whole events and only looks inside where a law asks it to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

EVENT_MAX = 16 * 1024 * 1024
_LINE_END = rb"(?:\r\n|\n|\r(?!\n))"
# A lone CR at the very end may be half of a CRLF that was cut in two: only after another lone CR is it a line's end.
_BOUNDARY = re.compile(_LINE_END + rb"(?:\r\n|\n|\r(?!\n|\Z))|\r\r\Z")
_LINES = re.compile(rb"\r\n|\n|\r")
_SEAM = 3
"""A boundary is at most four bytes long, so one that crosses two reads starts in the last three of the first."""


class EventTooLargeError(Exception):
    """An event grew over the limit without ending."""


class Event(NamedTuple):
    """One event: its name (empty where it has none) and its data, lines joined by LF."""

    name: str
    data: bytes


class Splitter:
    """Collects what is read and gives back whole events only; the incomplete tail waits for its rest."""

    __slots__ = ("_held", "_limit", "_size")

    def __init__(self, limit: int = EVENT_MAX) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._limit = limit

    def feed(self, data: bytes) -> bytes:
        """Return all whole events so far, as one block. Raises ``EventTooLargeError`` when one can't end any more."""
        if not data:
            return b""
        held = self._held
        cut = self._cut(data)
        if cut <= 0:
            return self._hold(data)
        if cut == len(data):
            self._held, self._size = [], 0
            return b"".join((*held, data)) if held else data
        self._held, self._size = [data[cut:]], len(data) - cut
        return b"".join((*held, data[:cut])) if held else data[:cut]

    def _cut(self, data: bytes) -> int:
        """Return the index after the last blank line, also one that begins in what is held; 0 where there is none."""
        held = self._held
        if not held:
            return last_boundary(data)
        seam = b"".join(held[-_SEAM:])[-_SEAM:]
        if b"\r" in seam or b"\r" in data:
            return last_boundary(seam + data) - len(seam)
        at = data.rfind(b"\n\n")
        if at >= 0:
            return at + 2
        return 1 if data.startswith(b"\n") and seam.endswith(b"\n") else 0

    def _hold(self, data: bytes) -> bytes:
        self._held.append(data)
        self._size += len(data)
        if self._size > self._limit:
            raise EventTooLargeError
        return b""

    @property
    def rest(self) -> bytes:
        """The incomplete tail."""
        return b"".join(self._held)


def last_boundary(block: bytes) -> int:
    """Return the index after the last blank line, or 0."""
    if b"\r" not in block:
        at = block.rfind(b"\n\n")
        return at + 2 if at >= 0 else 0
    end = 0
    for match in _BOUNDARY.finditer(block):
        end = match.end()
    return end


def split(block: bytes) -> Iterator[bytes]:
    """Yield the events of a block of whole events, each with its terminator; together they are the block."""
    start = 0
    for match in _BOUNDARY.finditer(block):
        yield block[start : match.end()]
        start = match.end()
    if start < len(block):
        yield block[start:]


def bounds(block: bytes, at: int) -> tuple[int, int]:
    """Return where the event around an index of a block starts and ends."""
    if b"\r" not in block:
        start, end = block.rfind(b"\n\n", 0, at), block.find(b"\n\n", at)
        return start + 2 if start >= 0 else 0, end + 2 if end >= 0 else len(block)
    start = 0
    for match in _BOUNDARY.finditer(block):
        if match.end() > at:
            return start, match.end()
        start = match.end()
    return start, len(block)


def read(event: bytes) -> Event:
    """Return an event's name and data as a client would see them."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return Event("", event[6:-2])  # one line, as most are
    name = ""
    data: list[bytes] = []
    for line in _LINES.split(event):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
    return Event(name, b"\n".join(data))
