"""Who changed what, to read; rows are written by ``changes`` alone, and never altered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from app.extensions import db
from app.models import AuditEntry, User

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One change; ``actor`` is the address of who made it, empty for the command line and for set-up."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    before: Any
    after: Any


def list_entries(*, before_id: int | None = None, limit: int = 50) -> list[Entry]:
    """Return changes, newest first; with ``before_id`` those older than that one."""
    wanted = select(AuditEntry, User.email).outerjoin(User, User.id == AuditEntry.actor_id)
    if before_id is not None:
        wanted = wanted.where(AuditEntry.id < before_id)
    rows = db.session.execute(wanted.order_by(AuditEntry.id.desc()).limit(limit))
    return [Entry(row.id, row.at, email or "", row.action, row.target, row.before, row.after) for row, email in rows]
