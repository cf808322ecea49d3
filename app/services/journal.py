"""A worker's append-only files of records on their way to the database; they survive a killed worker.

One line, one ``write``. A segment is locked (flock) while its worker lives, so that nobody else replays it; the lock
of a killed worker falls away by itself and the next worker to look takes the segment over.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from app.protocol.record import Record

SEGMENT_MAX = 4 * 1024 * 1024
REPLAY_AT_ONCE = 500
_decoder = msgspec.json.Decoder(Record)


class Segment:
    """One file, locked by this process."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self.size = os.fstat(handle).st_size

    def append(self, record: Record) -> None:
        """Write one record. Raises ``OSError`` when the disk won't take it."""
        line = msgspec.json.encode(record) + b"\n"
        written = os.write(self._handle, line)
        self.size += written
        if written != len(line):
            raise OSError("the journal's disk is full")

    def sync(self) -> None:
        """Bring it to the disk, against power loss."""
        os.fdatasync(self._handle)

    def records(self) -> Iterator[list[Record]]:
        """Yield what it holds in portions; a last line that a killed worker left unfinished is passed over."""
        portion: list[Record] = []
        with self.path.open("rb") as lines:
            for line in lines:
                with suppress(msgspec.DecodeError, msgspec.ValidationError):
                    portion.append(_decoder.decode(line))
                if len(portion) >= REPLAY_AT_ONCE:
                    yield portion
                    portion = []
        if portion:
            yield portion

    def remove(self) -> None:
        """All of it is in the database: away with it."""
        self.path.unlink(missing_ok=True)
        os.close(self._handle)


class Journal:
    """The segments of one directory: the one being written, and those that wait to be replayed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._current: Segment | None = None
        self.waiting: list[Segment] = []

    def append(self, record: Record) -> None:
        """Keep a record; from here on a kill can't lose it. Raises ``OSError``."""
        if self._current is None:
            self._current = self._new()
        self._current.append(record)

    def rotate(self, *, at: int = SEGMENT_MAX) -> Segment | None:
        """Close the current segment for writing and return it, if it has grown to ``at`` bytes."""
        segment = self._current
        if segment is None or segment.size < max(at, 1):
            return None
        self._current = None
        return segment

    def sync(self) -> None:
        """Bring what was written to the disk."""
        if self._current is not None:
            self._current.sync()

    def adopt(self) -> None:
        """Take over the segments of workers that are gone."""
        if not self._directory.is_dir():
            return
        mine = {segment.path for segment in self.waiting} | ({self._current.path} if self._current else set())
        for path in sorted(self._directory.glob("*.journal")):
            if path not in mine and (segment := _lock(path)):
                self.waiting.append(segment)

    @property
    def size(self) -> int:
        """Bytes that are not yet known to be in the database."""
        return sum(segment.size for segment in self.waiting) + (self._current.size if self._current else 0)

    def _new(self) -> Segment:
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{os.getpid()}-{secrets.token_hex(6)}.journal"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        return Segment(path, handle)


def _lock(path: Path) -> Segment | None:
    """Return a segment that nobody holds, or None. One that was replayed and removed meanwhile isn't taken."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_nlink:
            return Segment(path, handle)
    except OSError:
        pass
    os.close(handle)
    return None
