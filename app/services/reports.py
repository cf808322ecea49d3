"""What was used and what it cost, from the sums kept with the records; and the newest records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Select, func, select, union_all

from app.extensions import db
from app.models import DailyRollup, Record, Rollup
from app.services import posting
from app.services.posting import SUMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import tzinfo

    from sqlalchemy import Connection, Engine

    from app.models import User

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WINDOWS = {"hour": DAY, "day": 31 * DAY}
"""What portions of an export by time have in them."""
OF_HOURS = 3 * DAY
"""The same where days are added up from hours, because they aren't those of UTC."""
PORTION = 500
"""Keys in a portion of any other export."""


class Scope(msgspec.Struct, frozen=True):
    """Whose use is meant; without anything everybody's."""

    user_id: int | None = None
    token_id: int | None = None
    model: str = ""


class Totals(msgspec.Struct):
    """Sums over requests: counts, tokens by kind (``input_tokens`` is fresh input), nano-dollars, ms.

    ``unpriced`` counts requests of unknown cost, which ``cost_nanos`` has nothing of.
    """

    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nanos: int = 0
    unpriced: int = 0
    total_ms: int = 0

    @classmethod
    def of(cls, row: Any) -> Totals:
        """Return the sums that a row has."""
        return cls(**{name: int(getattr(row, name)) for name in SUMS})

    @property
    def read_tokens(self) -> int:
        """All that was read: fresh, from a cache, and into one."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def cache_share(self) -> float | None:
        """The share of what was read that came from a cache; None where nothing was read."""
        return self.cache_read_tokens / self.read_tokens if self.read_tokens else None

    @property
    def error_share(self) -> float | None:
        """The share of requests that failed; None where there were none."""
        return self.errors / self.requests if self.requests else None

    def add(self, other: Totals) -> None:
        """Add another's sums."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


def last_requests(user: User, limit: int) -> list[Record]:
    """Return the newest ``limit`` request records of ``user``, newest first."""
    newest = select(Record).where(Record.user_id == user.id).order_by(Record.at.desc(), Record.id.desc())
    return list(db.session.scalars(newest.limit(limit)))


def totals(scope: Scope, begin: datetime, end: datetime | None = None) -> Totals:
    """Return the sums from the hour of ``begin`` to the hour of ``end`` (not included)."""
    found = Totals()
    for table, first, last in _parts(begin, end):
        found.add(Totals.of(db.session.execute(_within(scope, first, last, table=table)).one()))
    return found


def totals_since(scope: Scope, begins: Iterable[datetime]) -> list[Totals]:
    """Return the sums since each of these moments, the latest first: what they share is added up once."""
    found, so_far, end = [], Totals(), None
    for begin in begins:
        so_far.add(totals(scope, begin, end))
        found.append(msgspec.structs.replace(so_far))
        end = begin
    return found


def grouped(scope: Scope, by: str, begin: datetime, end: datetime | None = None) -> list[tuple[Any, Totals]]:
    """Return the sums by ``model``, ``user_id``, ``token_id``, ``upstream_id``, ``hour`` or ``day``, in their order.

    Hours are those of UTC; days are those of the zone of ``begin``.
    """
    connection = db.session.connection()
    if by in WINDOWS:
        return list(_by_time(connection, scope, by, begin=begin, end=end))
    return _by_key(connection, scope, by, begin=begin, end=end)


def leading(scope: Scope, by: str, begin: datetime, limit: int) -> list[tuple[Any, Totals]]:
    """Return the sums of those with the most requests, the most first, by what ``grouped`` takes but times.

    The database finds them: callers may have named any number of models.
    """
    parts = []
    for table, first, last in _parts(begin, None):
        column = getattr(table, by)
        parts.append(_within(scope, first, last, table=table, by=(column.label("whose"),)).group_by(column))
    told = union_all(*parts).subquery().c
    wanted = select(told.whose, *(func.sum(told[name]).label(name) for name in SUMS)).group_by(told.whose)
    rows = db.session.execute(wanted.order_by(func.sum(told.requests).desc(), told.whose).limit(limit))
    return [(row.whose, Totals.of(row)) for row in rows]


def by_hour_and_upstream(begin: datetime) -> Iterator[tuple[datetime, int, Totals]]:
    """Yield everybody's sums from the hour of ``begin`` on, both at once: they are many to add up."""
    both = Rollup.hour, Rollup.upstream_id
    wanted = _within(Scope(), begin, None, table=Rollup, by=both)
    return ((row[0], row[1], Totals.of(row)) for row in db.session.execute(wanted.group_by(*both)))


def every(engine: Engine, scope: Scope, by: str, begin: datetime, now: datetime) -> Iterator[list[tuple[Any, Totals]]]:
    """Yield what ``grouped`` returns from ``begin`` on in portions; nothing is held between them."""
    return _windows(engine, scope, by, begin, now) if by in WINDOWS else _ranges(engine, scope, by, begin)


def trend(scope: Scope, by: str, begin: datetime, end: datetime) -> list[tuple[datetime, Totals]]:
    """Return the sums of each hour or day from that of ``begin`` until ``end``, gaps filled with nothing.

    Moments and days are those of the zone of ``begin``.
    """
    return filled(dict(grouped(scope, by, begin)), by, begin, end)


def filled(found: dict[datetime, Totals], by: str, begin: datetime, end: datetime) -> list[tuple[datetime, Totals]]:
    """Return sums that were found as ``trend`` does."""
    moments = []
    moment, step = (begin, timedelta(days=1)) if by == "day" else (posting.hour_of(begin), timedelta(hours=1))
    while moment < end:
        moments.append(moment)
        moment += step
    return [(each.astimezone(begin.tzinfo), found.get(each, Totals())) for each in moments]


def days_ago(days: int, now: datetime) -> datetime:
    """Return the beginning of the day so many days before today, in the zone of ``now``."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) - timedelta(days=days)


def _parts(begin: datetime, end: datetime | None) -> Iterator[tuple[Any, datetime, datetime | None]]:
    """Yield the sums to read, and from when to when: those of whole days by UTC, for they are few, and hours around."""
    first = posting.day_of(begin.astimezone(UTC) + DAY - timedelta.resolution)
    last = end and posting.day_of(end)
    if last is not None and last < first:
        yield Rollup, begin, end
        return
    if begin < first:
        yield Rollup, begin, first
    if last is None or first < last:
        yield DailyRollup, first, last
    if end is not None and last is not None and last < end:
        yield Rollup, last, end


def _windows(
    engine: Engine, scope: Scope, by: str, begin: datetime, now: datetime
) -> Iterator[list[tuple[datetime, Totals]]]:
    span = OF_HOURS if by == "day" and begin.tzinfo is not UTC else WINDOWS[by]
    with engine.connect() as connection:
        first = connection.scalar(_of(scope, select(func.min(DailyRollup.day)), DailyRollup))
    while first is not None and begin + span <= first:  # most of a year may have been before the first request
        begin += span
    while begin < now:
        following = begin + span
        with engine.connect() as connection:
            end = following if following < now else None
            found = list(_by_time(connection, scope, by, begin=begin, end=end))
        yield found
        begin = following


def _ranges(engine: Engine, scope: Scope, by: str, begin: datetime) -> Iterator[list[tuple[Any, Totals]]]:
    column = getattr(DailyRollup, by)
    wanted = _of(scope, select(column).distinct(), DailyRollup).where(DailyRollup.day >= posting.day_of(begin))
    after: Any = None
    while True:
        beyond = wanted if after is None else wanted.where(column > after)
        with engine.connect() as connection:
            keys = list(connection.scalars(beyond.order_by(column).limit(PORTION)))
            if not keys:
                return
            between = None if after is None and len(keys) < PORTION else (keys[0], keys[-1])  # or days are passed over
            found = _by_key(connection, scope, by, begin=begin, between=between)
        yield found
        after = keys[-1]


def _by_key(
    connection: Connection,
    scope: Scope,
    by: str,
    *,
    begin: datetime,
    end: datetime | None = None,
    between: tuple[Any, Any] | None = None,
) -> list[tuple[Any, Totals]]:
    found: dict[Any, Totals] = {}
    for table, first, last in _parts(begin, end):
        for key, sums in _grouped(connection, scope, table, by, begin=first, end=last, between=between):
            found.setdefault(key, Totals()).add(sums)
    return sorted(found.items())


def _by_time(
    connection: Connection, scope: Scope, by: str, *, begin: datetime, end: datetime | None
) -> Iterator[tuple[datetime, Totals]]:
    if by == "day" and begin.tzinfo is UTC and all(table is DailyRollup for table, *_ in _parts(begin, end)):
        return _grouped(connection, scope, DailyRollup, "day", begin=begin, end=end)
    hours = _grouped(connection, scope, Rollup, "hour", begin=begin, end=end)
    return hours if by == "hour" else _by_day(hours, begin.tzinfo)


def _grouped(
    connection: Connection,
    scope: Scope,
    table: Any,
    by: str,
    *,
    begin: datetime,
    end: datetime | None,
    between: tuple[Any, Any] | None = None,
) -> Iterator[tuple[Any, Totals]]:
    column = getattr(table, by)
    wanted = _within(scope, begin, end, table=table, by=(column,))
    if between is not None:
        wanted = wanted.where(column.between(*between))
    rows = connection.execute(wanted.group_by(column).order_by(column))
    return ((row[0], Totals.of(row)) for row in rows)


def _by_day(hours: Iterable[tuple[datetime, Totals]], zone: tzinfo | None) -> Iterator[tuple[datetime, Totals]]:
    """Yield sums of hours as sums of days; an hour across midnight, half of a zone's, is the new day's."""
    days: dict[datetime, Totals] = {}
    for hour, sums in hours:
        days.setdefault(days_ago(0, (hour + HOUR - timedelta.resolution).astimezone(zone)), Totals()).add(sums)
    yield from days.items()


def _within(
    scope: Scope, begin: datetime, end: datetime | None, *, table: Any, by: tuple[Any, ...] = ()
) -> Select[Any]:
    sums = [func.coalesce(func.sum(getattr(table, name)), 0).label(name) for name in SUMS]
    moment = table.hour if table is Rollup else table.day
    floor = posting.hour_of if table is Rollup else posting.day_of
    wanted = select(*by, *sums).where(moment >= floor(begin))
    if end is not None:
        wanted = wanted.where(moment < floor(end))
    return _of(scope, wanted, table)


def _of(scope: Scope, wanted: Select[Any], table: Any) -> Select[Any]:
    if scope.user_id is not None:
        wanted = wanted.where(table.user_id == scope.user_id)
    if scope.token_id is not None:
        wanted = wanted.where(table.token_id == scope.token_id)
    return wanted.where(table.model == scope.model) if scope.model else wanted
