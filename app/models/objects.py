"""The ownership registry: who owns which stored object, and where it lives."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.models.base import BigId, UtcDateTime, exact, utcnow

OBJECT_ID_MAX = 512


class OwnedObject(Base):
    """A stored object that lives at an upstream and belongs to one user for life.

    The key is (upstream, kind, id): first writer wins. Upstream and credential are kept as plain numbers, so that the
    row outlives what they name and a deleted one is answered as not found, never rerouted. ``deleted_at`` is the
    tombstone. A deleted user's rows keep no user, and nobody inherits them.
    """

    __tablename__ = "owned_objects"
    __table_args__ = (
        UniqueConstraint("upstream_id", "kind", "object_id"),
        Index("ix_owned_objects_owner", "user_id", "kind", "object_id"),
        Index("ix_owned_objects_listing", "user_id", "kind", "id"),
        Index("ix_owned_objects_made", "kind", "created_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    upstream_id: Mapped[int] = mapped_column(BigInteger)
    credential_id: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(exact(OBJECT_ID_MAX))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    call_id: Mapped[str] = mapped_column(exact(32), default="")
    """The call that made it, whose record a background response settles when it is read."""
    model: Mapped[str] = mapped_column(exact(200), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
