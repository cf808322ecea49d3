"""Request records, newest first: filtered, a page at a time, never counted and never scanned beyond a bound."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Connection, Select, delete, or_, select, tuple_

from app.extensions import db
from app.models import Attempt, ConversationTotal, Record, Token
from app.models.base import utcnow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

SCAN = 2000
"""Records that a page looks through for those that fit a filter which no index has; then it says how far it came."""
UNTOLD = "-"
PRUNE = 1000
EXPORT = 500
Cursor = tuple[datetime, str]


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which records are meant; None and empty mean all."""

    user_id: int | None = None
    token_id: int | None = None
    line: int | None = None
    """The first of tokens that followed each other when they were rotated: those of all of them."""
    upstream_id: int | None = None
    conversation: str = ""
    model: str = ""
    """A ``*`` at its end stands for all names with that beginning."""
    status: str = ""
    """``ok``, ``error`` or a number."""
    stream: bool | None = None
    end: str = ""
    reason: str = ""
    """``-`` means that none was told."""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether something is asked that no index has."""
        named = self.model or self.status or self.end or self.reason
        return bool(named or self.stream is not None or self.upstream_id is not None or self.line is not None)


class Page(msgspec.Struct, frozen=True):
    """Some records, and where the next ones begin (None: there are none)."""

    records: list[Any]
    after: Cursor | None


def page(wanted: Filter, *, after: Cursor | None = None, limit: int = 50) -> Page:
    """Return the records after a cursor; a page may have few or none, and still go on."""
    return read_page(db.session.connection(), wanted, after=after, limit=limit)


def read_page(connection: Connection, wanted: Filter, *, after: Cursor | None, limit: int) -> Page:
    """Do so on a connection of the caller's."""
    indexed = _indexed(wanted, after)
    if not wanted.is_narrow:
        rows = list(connection.execute(indexed.limit(limit + 1)))
        return Page(rows[:limit], _cursor(rows[limit - 1]) if len(rows) > limit else None)
    looked = indexed.limit(SCAN).subquery()
    fitting = _newest(_narrow(select(looked), looked.c, wanted), looked.c).limit(limit + 1)
    rows = list(connection.execute(fitting))
    if len(rows) > limit:
        return Page(rows[:limit], _cursor(rows[limit - 1]))
    looked_to = _cursor(connection.execute(indexed.offset(SCAN - 1).limit(1)).first())
    # Records that were written in between have moved that place up, and the last that fit may lie beyond it.
    return Page(rows, looked_to and min([looked_to, *((row.at, row.id) for row in rows[-1:])]))


def every(engine: Engine, wanted: Filter) -> Iterator[list[Any]]:
    """Yield all records in portions, each read on its own, so that an export holds no connection between them."""
    after: Cursor | None = None
    while True:
        with engine.connect() as connection:
            found = read_page(connection, wanted, after=after, limit=EXPORT)
        yield found.records
        after = found.after
        if after is None:
            return


def get(record_id: str, *, user_id: int | None = None) -> Record | None:
    """Return one record, if it is this user's (None: whoever's)."""
    wanted = select(Record).where(Record.id == record_id)
    return db.session.scalar(wanted if user_id is None else wanted.where(Record.user_id == user_id))


def find(request_id: str, *, user_id: int | None = None) -> Record | None:
    """Return the newest record of a request id, among this user's (None: everybody's)."""
    wanted = select(Record).where(Record.request_id == request_id).order_by(Record.at.desc())
    return db.session.scalars(wanted if user_id is None else wanted.where(Record.user_id == user_id)).first()


def named(text: str, *, user_id: int | None = None) -> Record | None:
    """Return the record that has this id, its own or the request's, if it is this user's (None: whoever's)."""
    return get(text[:32], user_id=user_id) or find(text, user_id=user_id)


def attempts(record_id: str) -> list[Attempt]:
    """Return a record's attempts, in order."""
    return list(db.session.scalars(select(Attempt).where(Attempt.record_id == record_id).order_by(Attempt.n)))


def prune(days: int) -> int:
    """Delete records older than so many days, and conversations not heard of since; return how many records.

    Sums by the hour stay: what was paid is told for ever.
    """
    border, count = utcnow() - timedelta(days=days), 0
    while ids := list(db.session.scalars(select(Record.id).where(Record.at < border).order_by(Record.at).limit(PRUNE))):
        db.session.execute(delete(Attempt).where(Attempt.record_id.in_(ids)))
        db.session.execute(delete(Record).where(Record.id.in_(ids)))
        db.session.commit()
        count += len(ids)
    old = ConversationTotal.last_at < border
    some = select(ConversationTotal.user_id, ConversationTotal.key).where(old).limit(PRUNE)
    while keys := [tuple(row) for row in db.session.execute(some)]:
        named = tuple_(ConversationTotal.user_id, ConversationTotal.key).in_(keys)
        db.session.execute(delete(ConversationTotal).where(named, old))  # not one that was heard of meanwhile
        db.session.commit()
    return count


def _indexed(wanted: Filter, after: Cursor | None) -> Select[Any]:
    query = select(Record.__table__)
    for column, value in (("user_id", wanted.user_id), ("token_id", wanted.token_id)):
        if value is not None:
            query = query.where(getattr(Record, column) == value)
    if wanted.conversation:
        query = query.where(Record.conversation == wanted.conversation)
    if wanted.since is not None:
        query = query.where(Record.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Record.at < wanted.until)
    if after is not None:
        at, record_id = after
        query = query.where(Record.at <= at, (Record.at < at) | (Record.id < record_id))
    return _newest(query, Record)


def _newest(query: Select[Any], columns: Any) -> Select[Any]:
    return query.order_by(columns.at.desc(), columns.id.desc())


def _narrow(query: Select[Any], columns: Any, wanted: Filter) -> Select[Any]:
    if wanted.line is not None:
        followers = select(Token.id).where(Token.line == wanted.line)
        query = query.where(or_(columns.token_id == wanted.line, columns.token_id.in_(followers)))
    if wanted.model.endswith("*"):
        query = query.where(columns.model.startswith(wanted.model[:-1], autoescape=True))
    elif wanted.model:
        query = query.where(columns.model == wanted.model)
    if wanted.end:
        query = query.where(columns.end == wanted.end)
    if wanted.reason:
        query = query.where(columns.reason == (wanted.reason if wanted.reason != UNTOLD else ""))
    if wanted.upstream_id is not None:
        query = query.where(columns.upstream_id == wanted.upstream_id)
    if wanted.stream is not None:
        query = query.where(columns.stream.is_(wanted.stream))
    if wanted.status == "ok":
        return query.where(columns.status < 400)
    if wanted.status == "error":
        return query.where(columns.status >= 400)
    return query.where(columns.status == int(wanted.status)) if wanted.status else query


def _cursor(row: Any) -> Cursor | None:
    return None if row is None else (row.at, row.id)
