"""Holds counts of money against the sums kept with the records, where a count may have missed a call.

A worker that is killed may have cost more than it has told, and the record of a call that died with it comes later,
from its journal. Whoever takes a journal over doubts what its calls count under. A count in doubt is brought up to what
the sums said ``SURE_S`` before: by then every worker that lives has told what it had put into the database. So nothing
counts twice, whoever looks, and how often. It is looked at until nothing has ended under it meanwhile, and then it is
right to the last nano-dollar. Where the sums say less by then, as of a call that was estimated too high, they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import gevent
import msgspec
import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from app.protocol.limit import Measure, Rule, spans
from app.protocol.record import Record
from app.services import allowances, spent
from app.services.directory import Directory
from app.services.recounts import Recounts
from app.services.shared import AWAY

LOOK_S = 5.0
SURE_S = 10.0
DAY_S = 86_400
log = structlog.get_logger()


class Place(msgspec.Struct, frozen=True):
    """What a call's cost counts under: its user, token, model and conversation, on a day by UTC."""

    user_id: int
    token_id: int
    model: str
    conversation: str
    day: int


class Recounter:
    """Looks at what is in doubt, beside the calls."""

    def __init__(self, engine: Engine, directory: Directory, recounts: Recounts) -> None:
        self._engine = engine
        self._directory = directory
        self._recounts = recounts

    def start(self) -> None:
        """Begin to look, in this worker's hub."""
        gevent.spawn(self._look_for_ever)

    def doubt(self, records: Iterable[Record]) -> None:
        """These records came into the database without anybody who counts."""
        places = {_place(record) for record in records}
        self._recounts.doubt(msgspec.json.encode(place).decode() for place in places)

    def look(self, wait: Callable[[float], object] = gevent.sleep) -> None:
        """Correct what is in doubt now. Raises what the database and Redis raise."""
        doubted = self._recounts.doubted()
        if not doubted:
            return
        with self._engine.connect() as connection:
            asked = {place: self._keys(connection, place) for place in doubted}
            queries = {key: query for each in asked.values() for key, query in each.items()}
            before = dict(zip(queries, self._recounts.said(list(queries)), strict=True))
            known = spent.told(connection, queries)
        wait(SURE_S)
        with self._engine.connect() as connection:
            known = {key: min(known[key], now) for key, now in spent.told(connection, queries).items()}
        said = dict(zip(known, self._recounts.correct(known), strict=True))
        still = {place for place, keys in asked.items() if all(said[key] == before[key] for key in keys)}
        self._recounts.sure({place: since for place, since in doubted.items() if place in still})

    def _keys(self, connection: Connection, place: str) -> spent.Queries:
        """Return what a place counts under, and what tells how much was spent there."""
        where = msgspec.json.decode(place, type=Place)
        on = spans(where.day)
        found: spent.Queries = {}
        for rule in self._rules(connection, where):
            if rule.measure is Measure.CONVERSATION and where.conversation:
                query = spent.in_conversation(where.user_id, where.conversation)
                found[f"{rule.key}:{where.conversation}"] = query
            elif rule.measure is not Measure.CONVERSATION:
                found[f"{rule.key}:{on[rule.measure].start}"] = spent.under(rule, on[rule.measure])
        return found

    def _rules(self, connection: Connection, where: Place) -> Sequence[Rule]:
        model = self._directory.snapshot.model(where.model)
        rules = model.rules if model is not None else ()
        for scope, subject_id in (("user", where.user_id), ("token", where.token_id)):
            rules += allowances.rules(connection, scope, {subject_id}).get(subject_id, ())
        return [rule for rule in rules if rule.money and rule.covers(where.model)]

    def _look_for_ever(self) -> None:
        while True:
            gevent.sleep(LOOK_S)
            try:
                self.look()
            except (SQLAlchemyError, *AWAY) as error:
                log.warning("not_recounted", error=type(error).__name__)


def _place(record: Record) -> Place:
    day = int(record.at) // DAY_S * DAY_S
    return Place(record.user_id, record.token_id, record.model, record.conversation, day)
