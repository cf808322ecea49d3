"""Single facts about the whole deployment, by name."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.models.base import exact

GENERATION = "generation"
"""Raised by every change that the workers' snapshots must see."""
LOOKED = "looked"
"""Raised while somebody looks at the calls under way, for which workers then tell of theirs."""
PENDING_LOOK = "pending_look"
"""When a worker last looked for background responses that nobody reads, in µs since the epoch: who raises it looks."""
PENDING_SEEN = "pending_seen"
"""Up to which moment those had their turn to be asked for, in µs since the epoch."""
FIRST_ADMIN = "first_admin"
"""Exists once set-up is over; its primary key lets only one of two racing set-ups win."""


class Meta(Base):
    """A named number."""

    __tablename__ = "meta"

    name: Mapped[str] = mapped_column(exact(64), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger, default=0)
