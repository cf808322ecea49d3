"""The one writing greenlet of a worker: whatever waits is committed together, in one transaction.

``claim`` waits for the commit, because an id may be shown only once its owner is kept. ``note`` doesn't: its record is
in the journal already, and reaches the database a little later, together with others, so that no claim waits for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import gevent
import structlog
from gevent.event import AsyncResult, Event
from gevent.lock import RLock
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.protocol import record as values
from app.services.batch import COMMIT_S, Batch
from app.services.journal import Journal, Segment
from app.services.posting import Row
from app.services.rows import REFUSED

NOTE_S = 0.05
"""How long records wait for company."""
BATCH_MAX = 500
RETRY_S = 0.5
SYNC_S = 1.0
ADOPT_S = 5.0
CLAIM_S = 8.0
BACKLOG_MAX = 256 * 1024 * 1024
_AWAY = (SQLAlchemyError, OSError, gevent.Timeout)
log = structlog.get_logger()


class Unavailable(Exception):  # noqa: N818 - a state, not a mistake
    """The database can't be written to now."""


class _Claim(NamedTuple):
    rows: list[Row]
    done: AsyncResult[bool]


class Pen:
    """Writes for one worker."""

    def __init__(self, engine: Engine, journal: Journal, write: Callable[[Batch], bool]) -> None:
        self._engine = engine
        self._journal = journal
        self._commit = write
        self._claims: list[_Claim] = []
        self._notes: list[bytes] = []  # lines: a record's many parts would fill the processor's caches until then
        self._wake = Event()
        self.writing = RLock()  # who holds it knows that nothing is committed meanwhile
        self._unkept: set[bytes] = set()  # lines that stand in memory alone: the journal had no room
        self._ill = False
        self._disk_full = False
        self._synced = self._adopted = self._noted = 0.0
        self.closed: Callable[[values.Record], values.Record] = lambda record: record
        """Says what is known of a call whose worker died."""
        self.uncounted: Callable[[list[values.Record]], None] = lambda _records: None
        """Told of records that came into the database late, and that a count may not know of."""

    def start(self) -> None:
        """Begin to write, in this worker's hub."""
        gevent.spawn(self._write_for_ever)

    def claim(self, rows: list[Row]) -> bool:
        """Return once these registry rows are committed; rows that exist already stay as they are.

        False tells that some row of the same commit may have existed. Raises ``Unavailable`` when it can't be done in
        time.
        """
        if self._ill:
            raise Unavailable
        self._claims.append(claim := _Claim(rows, AsyncResult()))
        self._wake.set()
        try:
            return bool(claim.done.get(timeout=CLAIM_S))
        except gevent.Timeout:
            raise Unavailable from None

    def open(self, record: values.Record) -> None:
        """Keep that a call has begun, so that it leaves a record even if this worker dies; ``note`` closes it."""
        self._write_down(self._journal.open, record.id, values.line_of(record))

    def note(self, record: values.Record) -> None:
        """Keep a record: in the journal at once, in the database soon."""
        line = values.line_of(record)
        self._notes.append(line)
        if not self._write_down(self._journal.append, record.id, line):
            self._unkept.add(line)

    def _write_down(self, how: Callable[[str, bytes], None], call_id: str, line: bytes) -> bool:
        try:
            how(call_id, line)
            self._disk_full = False
        except OSError as error:
            self._disk_full = True
            log.error("journal_failed", error=str(error))
        return not self._disk_full

    def flush(self, timeout_s: float = 5.0) -> None:
        """Write what waits, at the end of a worker's life; what can't be written stays in the journal."""
        with suppress(gevent.Timeout), gevent.Timeout(timeout_s):
            with self.writing:
                while (self._claims or self._notes) and not self._ill:
                    self._write()
            if not self._ill and (segment := self._journal.rotate(at=0)):
                segment.remove()

    @property
    def noted(self) -> Sequence[values.Record]:
        """The records that wait to be committed."""
        return values.read_all(b"".join(self._notes))

    @property
    def claims(self) -> bool:
        """Whether owners can be written down, as far as was seen last."""
        return not self._ill

    @property
    def accepts(self) -> bool:
        """Whether there is room to keep the record of another call."""
        return not self._disk_full and self._journal.size < BACKLOG_MAX

    @property
    def backlog(self) -> int:
        """Bytes of records that are not in the database yet."""
        return self._journal.size

    @property
    def waits_since(self) -> float | None:
        """Since when records wait that should be in the database, in seconds since the epoch; None where none do."""
        return self._journal.waits_since

    def _write_for_ever(self) -> None:
        while True:
            self._wake.wait(NOTE_S)
            self._wake.clear()
            try:
                self._turn()
            except OSError as error:
                log.error("journal_failed", error=str(error))
            except Exception as error:
                log.error("internal_error", exc_info=error)
                gevent.sleep(RETRY_S)

    def _turn(self) -> None:
        now = time.monotonic()
        if now - self._synced > SYNC_S:
            self._synced = now
            gevent.get_hub().threadpool.apply(self._journal.sync)
        if now - self._adopted > ADOPT_S:
            self._adopted = now
            self._journal.adopt()
        if self._claims or self._notes:
            self._write()
        if self._ill:
            self._recover()
        elif self._journal.waiting or self._journal.orphans:
            self._replay()

    def _write(self) -> None:
        with self.writing:
            self._write_batch()

    def _write_batch(self) -> None:
        claims, self._claims = self._claims[:BATCH_MAX], self._claims[BATCH_MAX:]
        notes: list[bytes] = []
        now = time.monotonic()
        if not claims or now - self._noted >= NOTE_S:
            self._noted = now
            notes, self._notes = self._notes[:BATCH_MAX], self._notes[BATCH_MAX:]
        if self._claims or (notes and self._notes):
            self._wake.set()
        grown = None if self._notes else self._journal.rotate()
        try:
            self._commit_batch(claims, notes)
        except _AWAY as error:
            self._notes = notes + self._notes
            self._failed(error, claims, grown)
            return
        self._unkept.difference_update(notes)
        if grown:
            grown.remove()

    def _commit_batch(self, claims: list[_Claim], notes: list[bytes], *, again: bool = False) -> None:
        """Write it all in one transaction; where one can't be written for what it is, each in its own."""
        try:
            all_new = self._commit(Batch([row for claim in claims for row in claim.rows], b"".join(notes), again))
        except Exception as error:  # a mistake of ours, too, costs no more than what met it
            _require_present(error)
            if not isinstance(error, REFUSED):
                log.error("internal_error", exc_info=error)
            for claim in claims:
                self._commit_claim(claim)
            for note in notes:
                self._commit_note(note)
            return
        for claim in claims:
            claim.done.set(all_new)

    def _commit_claim(self, claim: _Claim) -> None:
        try:
            claim.done.set(self._commit(Batch(claim.rows)))
        except Exception as error:  # noqa: BLE001
            _require_present(error)
            log.error("claim_refused", error=type(error).__name__)
            claim.done.set_exception(Unavailable())

    def _commit_note(self, note: bytes) -> None:
        try:
            self._commit(Batch([], note, again=True))
        except Exception as error:  # noqa: BLE001
            _require_present(error)
            log.error("record_refused", call=values.read(note).id, error=type(error).__name__)

    def _failed(self, error: BaseException, claims: list[_Claim], grown: Segment | None) -> None:
        """Tell those who wait; the records stay in the journal, and those that it has leave the memory."""
        if not self._ill:
            log.error("database_unavailable", error=type(error).__name__)
        self._ill = True
        for claim in claims:
            if not claim.done.ready():
                claim.done.set_exception(Unavailable())
        for note in [note for note in self._notes if note in self._unkept]:
            if self._write_down(self._journal.append, values.read(note).id, note):
                self._unkept.discard(note)
        self._journal.waiting += [segment for segment in (grown, self._journal.rotate(at=0)) if segment]
        self._notes = [note for note in self._notes if self._journal.stays or note in self._unkept]

    def _recover(self) -> None:
        """Ask once whether the database is back; the loop comes round again."""
        gevent.sleep(RETRY_S)
        try:
            with gevent.Timeout(COMMIT_S), self._engine.connect():
                self._ill = False
        except _AWAY:
            return
        log.info("database_back")

    def _replay(self) -> None:
        """Bring waiting segments into the database; a second time changes nothing."""
        try:
            if self._journal.waiting:
                for _ in self._replayed(self._journal.waiting[:1]):
                    pass  # calls that were open then are this worker's own, and live on or have been settled since
                self._journal.waiting.pop(0).remove()
            else:
                self._replay_orphans(self._journal.orphans[0])
        except _AWAY:
            self._ill = True

    def _replay_orphans(self, segments: list[Segment]) -> None:
        """Bring in what a dead worker left: the records of calls that ended, then those of calls that died with it."""
        died = list(self._replayed(segments))
        for start in range(0, len(died), BATCH_MAX):
            portion = [self.closed(record) for record in died[start : start + BATCH_MAX]]
            self._commit_late(portion)
        self._journal.orphans.pop(0)
        for segment in segments:
            segment.remove()

    def _replayed(self, segments: list[Segment]) -> Iterator[values.Record]:
        """Bring in the records of calls that ended; then yield those of calls that were open at the end."""
        opened: dict[str, values.Record] = {}
        for segment in segments:
            for portion in segment.records():
                ended = [record for record in portion if record.end is not values.End.ABORTED]
                opened |= {record.id: record for record in portion if record.end is values.End.ABORTED}
                if ended:
                    self._commit_late(ended)
                for record in ended:
                    opened.pop(record.id, None)
        yield from opened.values()

    def _commit_late(self, notes: list[values.Record]) -> None:
        """Bring in what waited in a journal; a count that began meanwhile could not know of it."""
        self._commit_batch([], [values.line_of(note) for note in notes], again=True)
        self.uncounted(notes)


def _require_present(error: Exception) -> None:
    """Raise what tells that the database is away; all else is about what was to be written."""
    if isinstance(error, _AWAY) and not isinstance(error, REFUSED):
        raise error
