"""The registry as administrators read it: who owns an id, what somebody owns, and forgetting."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from app.extensions import db
from app.models import OwnedObject, Upstream, User
from app.models.base import utcnow
from app.services.changes import change


@dataclass(frozen=True, slots=True)
class Shown:
    """One stored object; ``owner`` is empty for a deleted user, ``upstream`` for a deleted upstream."""

    id: int
    kind: str
    object_id: str
    model: str
    owner: str
    user_id: int | None
    upstream: str
    created_at: datetime
    deleted_at: datetime | None


def search(*, object_id: str = "", email: str = "", before_id: int | None = None, limit: int = 50) -> list[Shown]:
    """Return stored objects, newest first: with an id exactly those, with an address those of that user."""
    wanted = (
        select(OwnedObject, User.email, Upstream.name)
        .outerjoin(User, User.id == OwnedObject.user_id)
        .outerjoin(Upstream, Upstream.id == OwnedObject.upstream_id)
    )
    if object_id:
        wanted = wanted.where(OwnedObject.object_id == object_id)
    if email:
        wanted = wanted.where(User.email == email.lower())
    if before_id is not None:
        wanted = wanted.where(OwnedObject.id < before_id)
    rows = db.session.execute(wanted.order_by(OwnedObject.id.desc()).limit(limit))
    return [
        Shown(
            row.id,
            row.kind,
            row.object_id,
            row.model,
            owner or "",
            row.user_id,
            upstream or "",
            row.created_at,
            row.deleted_at,
        )
        for row, owner, upstream in rows
    ]


def forget(row_id: int, *, actor: User) -> None:
    """Answer for an object as for one that doesn't exist, for its owner too; the provider's copy stays there."""
    with change("object.forget", "object", actor=actor) as told:
        found = db.session.get(OwnedObject, row_id)
        if found is not None and found.deleted_at is None:
            told.target = f"{found.kind} {found.object_id}"[:200]
            told.before = {"user_id": found.user_id}
            found.deleted_at = utcnow()
