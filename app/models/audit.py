"""Who changed what."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.models.base import BigId, Json, UtcDateTime, exact, utcnow


class AuditEntry(Base):
    """One change, written in the transaction that made it; secrets never stand in ``before`` or ``after``."""

    __tablename__ = "audit_entries"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow, index=True)
    actor_id: Mapped[int | None] = mapped_column(BigInteger)
    """The user who did it; null for the command line."""
    peer: Mapped[str] = mapped_column(exact(12), default="", server_default=text("''"))
    """A keyed hash of the address it was done from, as in the log; empty for the command line."""
    action: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(200))
    before: Mapped[Any | None] = mapped_column(Json)
    after: Mapped[Any | None] = mapped_column(Json)
