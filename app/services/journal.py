"""A worker's append-only files of records on their way to the database; they survive a killed worker.

One line, one ``write``: one when a call begins (its record with the end ``aborted``), one when it ends. A segment is
locked (flock) while its worker lives, so that nobody else replays it; the locks of a killed worker fall away by
themselves, and the next worker to look takes over all of its segments, or none: one may tell how a call ended that
another says is open.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import structlog

from app.protocol.record import Record, read

SEGMENT_MAX = 4 * 1024 * 1024
REPLAY_AT_ONCE = 500
log = structlog.get_logger()


class Segment:
    """One file, locked by this process."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self._handle = handle
        self.size = os.fstat(handle).st_size
        self.carried = 0
        """Bytes that say again what another segment said."""

    @property
    def worker(self) -> str:
        """Whose it is."""
        return self.path.stem.rpartition("-")[0]

    @property
    def written_at(self) -> float:
        """When it was written to last, in seconds since the epoch."""
        return os.fstat(self._handle).st_mtime

    def append(self, line: bytes) -> None:
        """Write one line, or several. Raises ``OSError`` when the disk won't take all of it; then none of it stays."""
        if os.write(self._handle, line) != len(line):
            os.ftruncate(self._handle, self.size)  # else the next line would be read as this one's rest
            raise OSError("the journal's disk is full")
        self.size += len(line)

    def sync(self) -> None:
        """Bring it to the disk, against power loss."""
        os.fdatasync(self._handle)

    def records(self) -> Iterator[list[Record]]:
        """Yield what it holds in portions; a last line that a killed worker left unfinished is passed over."""
        portion: list[Record] = []
        with self.path.open("rb") as lines:
            for line in lines:
                with suppress(msgspec.DecodeError, msgspec.ValidationError):
                    portion.append(read(line))
                if len(portion) >= REPLAY_AT_ONCE:
                    yield portion
                    portion = []
        if portion:
            yield portion

    def release(self) -> None:
        """Leave it to another."""
        os.close(self._handle)

    def remove(self) -> None:
        """All of it is in the database: away with it."""
        self.path.unlink(missing_ok=True)
        os.close(self._handle)


class Journal:
    """The segments of one directory: the one being written, and those that wait to be replayed.

    ``waiting`` are this worker's own, ``orphans`` those of dead workers, each worker's together.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._worker = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._number = 0
        self._current: Segment | None = None
        self._open: dict[str, bytes] = {}
        """The lines of calls that have begun and not ended, by their ids."""
        self._refused: set[str] = set()
        """Workers whose segments can't be opened, which was told."""
        self.waiting: list[Segment] = []
        self.orphans: list[list[Segment]] = []

    def open(self, call_id: str, line: bytes) -> None:
        """Keep that a call has begun. Raises ``OSError``."""
        current = self._current or self._begin()
        self._open[call_id] = line
        current.append(line)

    def append(self, call_id: str, line: bytes) -> None:
        """Keep the record of a call that ended; from here on a kill can't lose it. Raises ``OSError``."""
        current = self._current or self._begin()
        self._open.pop(call_id, None)
        current.append(line)

    def rotate(self, *, at: int = SEGMENT_MAX) -> Segment | None:
        """Close the current segment for writing and return it, if ``at`` bytes have come to it.

        The next one begins with the calls that are open now, so that each segment may go once its records are kept;
        while there is no room for it the present one goes on.
        """
        segment = self._current
        if segment is None or segment.size - segment.carried < max(at, 1):
            return None
        self._current = None
        if self._open:
            try:
                self._begin()
            except OSError:
                self._current = segment
                return None
        return segment

    def sync(self) -> None:
        """Bring what was written to the disk."""
        if self._current is not None:
            self._current.sync()

    def adopt(self) -> None:
        """Take over the segments of workers that are gone; what can't be opened is told, once, and passed over."""
        if not self._directory.is_dir():
            return
        known = {segment.worker for group in self.orphans for segment in group} | {self._worker}
        paths: dict[str, list[Path]] = {}
        for path in sorted(self._directory.glob("*.journal")):
            paths.setdefault(path.stem.rpartition("-")[0], []).append(path)
        for worker, theirs in paths.items():
            if worker not in known and (segments := self._lock_all(worker, theirs)):
                self.orphans.append(segments)

    def _lock_all(self, worker: str, paths: list[Path]) -> list[Segment]:
        try:
            segments = _lock_all(paths)
        except OSError as error:
            if worker not in self._refused:
                log.error("journal_not_adopted", error=str(error))
            self._refused.add(worker)
            return []
        self._refused.discard(worker)
        return segments

    @property
    def size(self) -> int:
        """Bytes that are not yet known to be in the database."""
        current = self._current
        own = current.size - current.carried if current is not None else 0
        if not self.waiting and not self.orphans:
            return own
        return own + sum(segment.size for group in (self.waiting, *self.orphans) for segment in group)

    @property
    def stays(self) -> bool:
        """Whether the segment that is being written holds what no other does."""
        return self._current is not None and self._current.size > self._current.carried

    @property
    def waits_since(self) -> float | None:
        """Since when the oldest of what should be in the database waits, in seconds since the epoch."""
        late = [segment.written_at for group in (self.waiting, *self.orphans) for segment in group]
        return min(late, default=None)

    def _begin(self) -> Segment:
        """Open the next segment, and say in it which calls are open. Raises ``OSError``."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{self._worker}-{self._number:06}.journal"
        self._number += 1
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        segment = Segment(path, handle)
        try:
            segment.append(b"".join(self._open.values()))
        except OSError:
            segment.remove()
            raise
        segment.carried = segment.size
        self._current = segment
        return segment


def unopened(directory: Path) -> list[str]:
    """Return why segments can't be opened, those that can't be; it leaves all of them as they are."""
    reasons = []
    for path in sorted(directory.glob("*.journal")):
        try:
            os.close(os.open(path, os.O_RDWR))
        except FileNotFoundError:  # replayed and removed just now
            pass
        except OSError as error:
            reasons.append(f"{path}: {error.strerror}")
    return reasons


def _lock_all(paths: list[Path]) -> list[Segment]:
    """Return all of a worker's segments, or none of them where somebody still has one. Raises ``OSError``."""
    segments: list[Segment] = []
    with ExitStack() as taken:
        for path in paths:
            if (segment := _lock(path)) is None:
                return []
            segments.append(segment)
            taken.callback(segment.release)
        taken.pop_all()
    return segments


def _lock(path: Path) -> Segment | None:
    """Return a segment that nobody holds, or None. One that was replayed and removed meanwhile isn't taken.

    Raises ``OSError`` where it can't be opened, being another user's.
    """
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
