"""The calls under way in all workers of all hosts, for whoever looks; and the way to end one of them.

A look raises a number that each worker reads with every poll of the configuration anyway. As long as it rises a worker
writes down what it has under way, once a second, in one row of its own. While nobody looks nothing is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import gevent
import msgspec
import structlog
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.models import Cut, Meta, RunningCalls
from app.models.base import utcnow
from app.models.meta import LOOKED
from app.relay.running import Running
from app.services.changes import change
from app.services.directory import Directory

if TYPE_CHECKING:
    from app.models import User

NOTICE_S = 0.2
WRITE_S = 1.0
LOOK_S = 3.0
"""How often a look is told to the workers, at most, by one process."""
LOOKS_FOR_S = 12.0
"""How long a worker writes after the last look that it heard of."""
FRESH = timedelta(seconds=10)
"""How old what a worker wrote may be; clocks may differ by half of it (see ``flask doctor``)."""
WAIT_S = 2.0
"""How long whoever wants to end a call waits for the workers to tell of theirs."""
MOST = 2000
"""Calls that one worker tells of."""
_encode = msgspec.json.encode
_calls = msgspec.json.Decoder(list[Running])
log = structlog.get_logger()


class RunningBoard:
    """One worker's side: what it tells, and what pages that it serves are told by all."""

    def __init__(self, engine: Engine, directory: Directory, mine: Callable[[int], list[Running]]) -> None:
        self._engine = engine
        self._directory = directory
        self._mine = mine
        self._worker = f"{os.getpid()}-{os.urandom(8).hex()}"
        self._looked_at = float("-inf")

    # -- telling ------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Tell whenever somebody looks, in this worker's hub."""
        gevent.spawn(self._tell_for_ever)

    def tell(self) -> None:
        """Write down what this worker has under way. Raises what the database raises."""
        told = {"at": utcnow(), "calls": _encode(self._mine(MOST))}
        with self._engine.begin() as connection:
            mine = update(RunningCalls).where(RunningCalls.worker == self._worker).values(**told)
            if not connection.execute(mine).rowcount:
                connection.execute(insert(RunningCalls).values(worker=self._worker, **told))

    def _tell_for_ever(self) -> None:
        heard, until, next_at = self._directory.looked, 0.0, 0.0
        while True:
            gevent.sleep(NOTICE_S)
            now = time.monotonic()
            if self._directory.looked != heard:
                heard, until = self._directory.looked, now + LOOKS_FOR_S
            if until and now >= next_at:
                next_at = now + WRITE_S
                until = self._write(until, now)

    def _write(self, until: float, now: float) -> float:
        """Tell, or take back what was told when nobody looks any more; returns until when to go on, 0 for not."""
        try:
            if now < until:
                self.tell()
                return until
            with self._engine.begin() as connection:
                connection.execute(delete(RunningCalls).where(RunningCalls.worker == self._worker))
        except (SQLAlchemyError, OSError) as error:
            log.warning("running_calls_not_told", error=type(error).__name__)
        return until if now < until else 0.0

    # -- looking ------------------------------------------------------------------------------------------------------
    def look(self) -> None:
        """Have all workers tell from now on, for a while."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            with self._engine.begin() as connection:
                connection.execute(update(Meta).where(Meta.name == LOOKED).values(value=Meta.value + 1))

    def calls(self, *, user_id: int | None = None) -> list[Running] | None:
        """Return what is under way, oldest first, with ``user_id`` that user's; None while no worker has told yet."""
        with self._engine.connect() as connection:
            rows = connection.scalars(select(RunningCalls.calls).where(RunningCalls.at > utcnow() - FRESH)).all()
        if not rows:
            return None
        told = {call.id: call for row in rows for call in _calls.decode(row)}
        mine = [call for call in told.values() if user_id is None or call.user_id == user_id]
        return sorted(mine, key=lambda call: call.since)

    def end(self, call_id: str, *, actor: User, owner: User | None) -> bool:
        """End a call wherever it runs. Returns False when there is none such of ``owner`` (None: of anybody)."""
        call = self._find(call_id, None if owner is None else owner.id)
        if call is None:
            return False
        with change("call.end", f"call {call.id}", actor=actor) as told:
            told.before = {"user": call.user_id, "token": call.token_id, "model": call.model, "sent": call.sent}
            db.session.add(Cut(call_id=call.id))
        return True

    def _find(self, call_id: str, user_id: int | None) -> Running | None:
        """Return a call under way; one that isn't there is looked for until every worker may have told."""
        self.look()
        until = time.monotonic() + WAIT_S
        while True:
            for call in self.calls(user_id=user_id) or ():
                if call.id == call_id:
                    return call
            if time.monotonic() >= until:
                return None
            gevent.sleep(NOTICE_S)
