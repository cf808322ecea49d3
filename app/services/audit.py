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
    """One change; ``actor`` is the e-mail address of who made it, empty for the command line and for set-up."""

    id: int
    at: datetime
    actor: str
    peer: str
    action: str
    target: str
    before: Any
    after: Any

    @property
    def differences(self) -> list[tuple[str, Any, Any]]:
        """What changed: name, before and after; None where there was nothing."""
        before = self.before if isinstance(self.before, dict) else {}
        after = self.after if isinstance(self.after, dict) else {}
        names = [*before, *(name for name in after if name not in before)]
        told = [(name, before.get(name), after.get(name)) for name in names]
        return [each for each in told if each[1] != each[2]]


def list_entries(
    *, before_id: int | None = None, limit: int = 50, actor: str = "", action: str = "", target: str = ""
) -> list[Entry]:
    """Return changes, newest first: with ``before_id`` those older than that one.

    ``actor`` is a whole address, ``action`` a beginning, ``target`` any part.
    """
    wanted = select(AuditEntry, User.email).outerjoin(User, User.id == AuditEntry.actor_id)
    if before_id is not None:
        wanted = wanted.where(AuditEntry.id < before_id)
    if actor:
        wanted = wanted.where(User.email == actor.lower())
    if action:
        wanted = wanted.where(AuditEntry.action.startswith(action, autoescape=True))
    if target:
        wanted = wanted.where(AuditEntry.target.contains(target, autoescape=True))
    rows = db.session.execute(wanted.order_by(AuditEntry.id.desc()).limit(limit))
    return [
        Entry(row.id, row.at, email or "", row.peer, row.action, row.target, row.before, row.after)
        for row, email in rows
    ]
