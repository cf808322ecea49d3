"""Keeps one worker's snapshot of the configuration present.

Each worker polls the generation number; when it was raised, a new snapshot is loaded and swapped in whole. With the
database away the last one goes on serving, and ``age_s`` says how old it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
import gevent.lock
import structlog
from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from app.models import Cut, Meta, Token
from app.models.base import utcnow
from app.models.meta import GENERATION, LOOKED
from app.protocol.call import Caller
from app.services import snapshot
from app.services.snapshot import EMPTY, Snapshot
from app.services.vault import Vault

POLL_S = 0.4
POLL_MAX_S = 5.0
PING_S = 0.8
CALLERS_MAX = 20_000
USED_S = 60.0
CLIENT_LONGEST = 100
LOOKUPS_MAX = 4
"""Look-ups of tokens not met yet that may be under way at once, so that guessing can't use up the database."""
log = structlog.get_logger()


class Directory:
    """Holds the present snapshot."""

    def __init__(self, engine: Engine, vault: Vault, *, mark_key: str) -> None:
        self._engine = engine
        self._vault = vault
        self._mark_key = mark_key
        self._checked = float("-inf")
        self._used: dict[int, str] = {}
        self._used_at = time.monotonic()
        self._lookups = gevent.lock.BoundedSemaphore(LOOKUPS_MAX)
        self._cuts_seen = -1
        self.looked = 0
        """Rises while somebody looks at the calls under way."""
        self.on_cut: Callable[[frozenset[str], frozenset[int]], None] = lambda _calls, _tokens: None
        """Called with the ids of calls and of tokens whose calls somebody wants ended, on every worker."""
        self.snapshot: Snapshot = EMPTY

    def start(self) -> None:
        """Load, and follow every change from now on, in this worker's hub."""
        self._poll()
        gevent.spawn(self._poll_for_ever)

    def age_s(self) -> float:
        """Return how long ago the snapshot was last known to be the present state."""
        return time.monotonic() - self._checked

    def refresh(self) -> None:
        """Load a new snapshot if the generation was raised. Raises what the database raises."""
        with self._engine.connect() as connection:
            numbers = select(Meta.name, Meta.value).where(Meta.name.in_((GENERATION, LOOKED)))
            told = {row.name: row.value for row in connection.execute(numbers)}
            self.looked = told.get(LOOKED, 0)
            generation = told.get(GENERATION, 0)
            if generation != self.snapshot.generation:
                self.snapshot = snapshot.load(
                    connection,
                    generation,
                    vault=self._vault,
                    mark_key=self._mark_key,
                    digests=self.snapshot.callers,
                )
                self._follow_cuts(connection)
        self._checked = time.monotonic()

    def _follow_cuts(self, connection: Connection) -> None:
        """Pass on which calls are to be ended, since the last look; a worker that starts has none of the old ones."""
        newest = connection.scalar(select(func.max(Cut.id))) or 0
        if 0 <= self._cuts_seen < newest:
            rows = connection.execute(select(Cut.call_id, Cut.token_id).where(Cut.id > self._cuts_seen)).all()
            self.on_cut(frozenset(row.call_id for row in rows) - {""}, frozenset(row.token_id for row in rows) - {0})
        self._cuts_seen = max(newest, self._cuts_seen)

    def ping(self) -> bool:
        """Whether the database answers, within the time that a health check may take."""
        try:
            with gevent.Timeout(PING_S), self._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError, gevent.Timeout):
            return False
        return True

    def caller(self, digest: str) -> Caller | None:
        """Return the caller of a token's digest, or None. Raises what the database raises for one not met yet."""
        callers = self.snapshot.callers
        caller = callers.get(digest)
        if caller is None:
            with self._lookups, self._engine.connect() as connection:
                found = dict(snapshot.callers(connection, [digest], mark_key=self._mark_key))
            callers.update(found)  # into the snapshot that was asked: a newer one must not learn old news
            caller = found.get(digest)
            while len(callers) > CALLERS_MAX:
                callers.pop(next(iter(callers)))
        return caller

    def used(self, token_id: int, client: str) -> None:
        """Note that a token was used just now, and by which program."""
        self._used[token_id] = client

    def _poll_for_ever(self) -> None:
        while True:
            gevent.sleep(POLL_S)
            self._poll()
            self._note_used()

    def _poll(self) -> None:
        try:
            with gevent.Timeout(POLL_MAX_S):
                self.refresh()
        except (SQLAlchemyError, OSError, gevent.Timeout) as error:
            log.warning("configuration_not_refreshed", error=type(error).__name__)

    def _note_used(self) -> None:
        """Write down which tokens were used, once a minute at most."""
        if not self._used or time.monotonic() - self._used_at < USED_S:
            return
        used, self._used, self._used_at = self._used, {}, time.monotonic()
        try:
            with self._engine.begin() as connection:
                now = utcnow()
                for token_id, client in sorted(used.items()):
                    shown = "".join(c for c in client[:CLIENT_LONGEST] if c.isprintable())
                    connection.execute(update(Token).where(Token.id == token_id).values(used_at=now, client=shown))
        except (SQLAlchemyError, OSError):
            self._used = used | self._used
