"""What the pages tell about requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from app.extensions import db
from app.models import Record

if TYPE_CHECKING:
    from app.models import User


def last_requests(user: User, limit: int) -> list[Record]:
    """Return the newest ``limit`` request records of ``user``, newest first."""
    newest = select(Record).where(Record.user_id == user.id).order_by(Record.at.desc(), Record.id.desc())
    return list(db.session.scalars(newest.limit(limit)))
