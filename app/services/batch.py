"""What is written in one transaction: rows of the registry, and records."""

from __future__ import annotations

from typing import cast

import gevent
import msgspec
from sqlalchemy import Engine, Table
from sqlalchemy.exc import OperationalError

from app.models import OwnedObject
from app.protocol import record as values
from app.services import engines
from app.services.call_log import CallLog
from app.services.posting import Row, post
from app.services.rows import crossed, insert_once

COMMIT_S = 5.0
"""After this a database that doesn't answer counts as away."""
CROSSINGS_MAX = 3  # tries of one transaction that met another crosswise
CLAIM = ("upstream_id", "credential_id", "kind", "object_id", "user_id", "call_id", "model", "created_at")
"""The columns of a claim."""
_OWNED = cast("Table", OwnedObject.__table__)


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Rows of the registry, which stay as they are where they exist, and records, as the journal's lines.

    ``again`` tells that some of the records may be there already, and those change nothing.
    """

    claims: list[Row]
    notes: bytes = b""
    again: bool = False


class Writer:
    """Writes batches into one database, and a line of the log for each record that it sees for the first time."""

    def __init__(self, engine: Engine, calls: CallLog) -> None:
        self._engine = engine
        self._calls = calls
        self._counts = engine.dialect.name != "mysql"  # which counts a row that stays as it was like a new one

    def write(self, batch: Batch) -> bool:
        """Write it all, or nothing. Returns whether every claim surely made a new row.

        Raises what the database raises, and ``gevent.Timeout``.
        """
        notes = values.read_all(batch.notes)
        if not batch.again:
            self._calls.add(notes)
        for _ in range(CROSSINGS_MAX):
            try:
                return self._transaction(batch.claims, notes, again=batch.again)
            except OperationalError as error:
                if not crossed(error):
                    raise
        return self._transaction(batch.claims, notes, again=batch.again)

    def _transaction(self, claims: list[Row], notes: list[values.Record], *, again: bool) -> bool:
        with gevent.Timeout(COMMIT_S), self._engine.begin() as connection:
            made = insert_once(connection, _OWNED, CLAIM, [tuple(row[name] for name in CLAIM) for row in claims])
            if notes:
                post(connection, notes, again=again)
        return made == len(claims) and (self._counts or not claims)

    def forked(self) -> None:
        """This is another process now, which writes and does nothing else; its parent's connections aren't its own."""
        engines.stand_alone()
        self._engine.dispose(close=False)
        self._calls.start()

    def leaves(self) -> None:
        """This process is about to end."""
        self._calls.flush()

    def about_to_fork(self) -> None:
        """Leave no connection open that a child would inherit."""
        self._engine.dispose()
