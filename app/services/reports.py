"""What was used and what it cost, from the sums kept with the records; and the newest records."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Select, func, select

from app.extensions import db
from app.models import ConversationTotal, DailyRollup, Record, Rollup
from app.services import posting
from app.services.posting import SUMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.models import User


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


class Talk(msgspec.Struct, frozen=True):
    """One conversation of a user."""

    key: str
    first_at: datetime
    last_at: datetime
    totals: Totals


def last_requests(user: User, limit: int) -> list[Record]:
    """Return the newest ``limit`` request records of ``user``, newest first."""
    newest = select(Record).where(Record.user_id == user.id).order_by(Record.at.desc(), Record.id.desc())
    return list(db.session.scalars(newest.limit(limit)))


def totals(scope: Scope, begin: datetime, end: datetime | None = None) -> Totals:
    """Return the sums from the hour of ``begin`` to the hour of ``end`` (not included)."""
    return _totals(db.session.execute(_within(scope, begin, end, table=_table(begin, end))).one())


def grouped(scope: Scope, by: str, begin: datetime, end: datetime | None = None) -> list[tuple[Any, Totals]]:
    """Return the sums by ``model``, ``user_id``, ``token_id``, ``upstream_id``, ``hour`` or ``day``, in their order."""
    table = _table(begin, end, finest=by == "hour")
    column = Rollup.hour if by == "day" and table is Rollup else getattr(table, by)
    rows = db.session.execute(_within(scope, begin, end, table=table, by=column).group_by(column).order_by(column))
    found = [(row[0], _totals(row)) for row in rows]
    return list(_by_day(found)) if by == "day" and table is Rollup else found


def trend(scope: Scope, by: str, begin: datetime, count: int) -> list[tuple[str, Totals]]:
    """Return the sums of so many hours or days from ``begin`` on, each with its label, gaps filled with nothing."""
    step, shape = (timedelta(hours=1), "%H:00") if by == "hour" else (timedelta(days=1), "%m-%d")
    found = dict(grouped(scope, by, begin))
    moments = [begin + n * step for n in range(count)]
    return [(moment.strftime(shape), found.get(moment, Totals())) for moment in moments]


def days_ago(days: int, now: datetime) -> datetime:
    """Return the beginning of the day (UTC) so many days before today."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days)


def conversations(user_id: int, *, before: datetime | None = None, limit: int = 50) -> list[Talk]:
    """Return a user's conversations, the last heard of first; with ``before`` those last heard of earlier."""
    wanted = select(ConversationTotal).where(ConversationTotal.user_id == user_id)
    if before is not None:
        wanted = wanted.where(ConversationTotal.last_at < before)
    rows = db.session.scalars(wanted.order_by(ConversationTotal.last_at.desc()).limit(limit))
    return [_talk(row) for row in rows]


def conversation(user_id: int, keys: list[str]) -> Talk | None:
    """Return the user's conversation that has one of these keys."""
    mine = ConversationTotal.user_id == user_id, ConversationTotal.key.in_(keys)
    row = db.session.scalars(select(ConversationTotal).where(*mine).order_by(ConversationTotal.last_at.desc())).first()
    return None if row is None else _talk(row)


def _table(begin: datetime, end: datetime | None, *, finest: bool = False) -> Any:
    """Return the sums to read: those of days where whole days by UTC are meant, for they are few."""
    whole = begin == posting.day_of(begin) and (end is None or end == posting.day_of(end))
    return DailyRollup if whole and not finest else Rollup


def _by_day(hours: list[tuple[datetime, Totals]]) -> Iterator[tuple[datetime, Totals]]:
    days: dict[datetime, Totals] = {}
    for hour, sums in hours:
        days.setdefault(posting.day_of(hour), Totals()).add(sums)
    yield from days.items()


def _within(scope: Scope, begin: datetime, end: datetime | None, *, table: Any, by: Any = None) -> Select[Any]:
    sums = [func.coalesce(func.sum(getattr(table, name)), 0).label(name) for name in SUMS]
    moment = table.hour if table is Rollup else table.day
    floor = posting.hour_of if table is Rollup else posting.day_of
    wanted = select(*sums if by is None else (by, *sums)).where(moment >= floor(begin))
    if end is not None:
        wanted = wanted.where(moment < end)
    if scope.user_id is not None:
        wanted = wanted.where(table.user_id == scope.user_id)
    if scope.token_id is not None:
        wanted = wanted.where(table.token_id == scope.token_id)
    return wanted.where(table.model == scope.model) if scope.model else wanted


def _totals(row: Any) -> Totals:
    return Totals(**{name: int(getattr(row, name)) for name in SUMS})


def _talk(row: ConversationTotal) -> Talk:
    return Talk(row.key, row.first_at, row.last_at, _totals(row))
