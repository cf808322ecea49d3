"""What each conversation of a user came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import select

from app.extensions import db
from app.models import ConversationTotal
from app.services.reports import Totals

if TYPE_CHECKING:
    from datetime import datetime


class Talk(msgspec.Struct, frozen=True):
    """One conversation of a user."""

    key: str
    first_at: datetime
    last_at: datetime
    totals: Totals


def latest(user_id: int, *, before: tuple[datetime, str] | None = None, limit: int = 50) -> list[Talk]:
    """Return a user's conversations, the last heard of first; with ``before`` (moment and key of one) the next."""
    wanted, last_at, key = select(ConversationTotal), ConversationTotal.last_at, ConversationTotal.key
    wanted = wanted.where(ConversationTotal.user_id == user_id)
    if before is not None:
        wanted = wanted.where(last_at <= before[0], (last_at < before[0]) | (key < before[1]))
    rows = db.session.scalars(wanted.order_by(last_at.desc(), key.desc()).limit(limit))
    return [_talk(row) for row in rows]


def find(user_id: int, keys: list[str]) -> Talk | None:
    """Return the user's conversation that has one of these keys."""
    mine = ConversationTotal.user_id == user_id, ConversationTotal.key.in_(keys)
    row = db.session.scalars(select(ConversationTotal).where(*mine).order_by(ConversationTotal.last_at.desc())).first()
    return None if row is None else _talk(row)


def _talk(row: ConversationTotal) -> Talk:
    return Talk(row.key, row.first_at, row.last_at, Totals.of(row))
