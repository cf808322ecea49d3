"""What pages need of their own: links that work once, announcements, choices, calls under way and calls to be ended."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.models.base import BigId, Declarable, UtcDateTime, exact, utcnow


class Link(Base):
    """A link that works once: an invitation, or the way to another password. ``digest`` is that of its secret."""

    __tablename__ = "links"

    digest: Mapped[str] = mapped_column(exact(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16))
    email: Mapped[str] = mapped_column(String(254), default="")
    role: Mapped[str] = mapped_column(String(16), default="user")
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Announcement(Declarable, Base):
    """A short notice to everybody, until ``ends_at``."""

    __tablename__ = "announcements"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    text: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Choice(Declarable, Base):
    """What administrators chose at run time, by name."""

    __tablename__ = "choices"

    name: Mapped[str] = mapped_column(exact(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(500))


class Cut(Base):
    """A call that is to be ended, or all of a token's: every worker reads it with the next generation."""

    __tablename__ = "cuts"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    call_id: Mapped[str] = mapped_column(exact(32), default="")
    token_id: Mapped[int] = mapped_column(BigId, default=0)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)


class RunningCalls(Base):
    """What one worker has under way, told while somebody looks; ``calls`` are ``relay.running``'s, as JSON."""

    __tablename__ = "running_calls"

    worker: Mapped[str] = mapped_column(exact(48), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    calls: Mapped[bytes] = mapped_column(LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql"))
