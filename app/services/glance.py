"""How all is going, in few queries: what was served in the last day, what failed of it, and what was slow."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Subquery, func, or_, select

from app.extensions import db
from app.models import Record
from app.protocol.record import End
from app.services import posting, reports
from app.services.reports import Totals

if TYPE_CHECKING:
    from collections.abc import Sequence

HOURS = 24
"""The present one included: what is told of a day are sums of whole hours, and their rows can be listed."""
LOOKED_AT = 5000
"""The newest records, out of which kinds of errors and the slowest are found: a busy house has too many in a day."""
KINDS_SHOWN, SLOWEST_SHOWN = 8, 5
FINE = (End.COMPLETED.value, End.PENDING.value)


class Kind(msgspec.Struct, frozen=True):
    """Failures of one kind: how many, and the last of them."""

    status: int
    end: str
    reason: str
    count: int
    last_at: datetime


class Day(msgspec.Struct, frozen=True):
    """The sums of the last 24 hours: since when, of each hour, of each upstream, and of all."""

    begin: datetime
    hours: dict[datetime, Totals]
    upstreams: dict[int, Totals]
    totals: Totals


class Glance(msgspec.Struct, frozen=True):
    """The last 24 hours."""

    day: Day
    kinds: list[Kind]
    slowest: Sequence[Any]

    @property
    def partly(self) -> bool:
        """Whether kinds and slowest are those of some of the day's requests alone."""
        return self.day.totals.requests > LOOKED_AT


def glance(now: datetime) -> Glance:
    """Return how all is going."""
    found = day(now)
    recent = _recent(found.begin)
    return Glance(
        found,
        [Kind(**row._mapping) for row in db.session.execute(_kinds(recent))],  # noqa: SLF001 - its public name
        db.session.execute(_slowest(recent)).all(),
    )


def day(now: datetime) -> Day:
    """Return the sums of the last 24 hours."""
    begin = posting.hour_of(now) - timedelta(hours=HOURS - 1)
    found = Day(begin, {}, {}, Totals())
    for hour, upstream_id, sums in reports.by_hour_and_upstream(begin):
        found.hours.setdefault(hour, Totals()).add(sums)
        found.upstreams.setdefault(upstream_id, Totals()).add(sums)
        found.totals.add(sums)
    return found


def _recent(begin: datetime) -> Subquery:
    shown = (
        Record.id, Record.at, Record.model, Record.upstream_id, Record.status, Record.end, Record.reason,
        Record.first_byte_ms, Record.total_ms,
    )  # fmt: skip
    return select(*shown).where(Record.at >= begin).order_by(Record.at.desc()).limit(LOOKED_AT).subquery()


def _kinds(recent: Subquery) -> Any:
    told = recent.c
    count = func.count().label("count")
    kinds = select(told.status, told.end, told.reason, count, func.max(told.at).label("last_at"))
    bad = or_(told.status >= 400, told.end.not_in(FINE))
    return kinds.where(bad).group_by(told.status, told.end, told.reason).order_by(count.desc()).limit(KINDS_SHOWN)


def _slowest(recent: Subquery) -> Any:
    """Return what began to answer last: how long an answer goes on says nothing about who gave it."""
    slow = select(recent).where(recent.c.first_byte_ms.is_not(None), recent.c.status < 400)
    return slow.order_by(recent.c.first_byte_ms.desc()).limit(SLOWEST_SHOWN)
