"""People with a login, and the browsers they are signed in with."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Base
from app.models.base import BigId, Declarable, UtcDateTime, exact, utcnow


class User(Declarable, Base):
    """A person with a login; ``role`` is ``user`` or ``admin``. ``email`` is kept in lower case."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    email: Mapped[str] = mapped_column(exact(254), unique=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16), default="user")
    locale: Mapped[str | None] = mapped_column(String(16))
    time_zone: Mapped[str | None] = mapped_column(String(64))
    """An IANA name; None is UTC."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    read_announcement: Mapped[int] = mapped_column(BigInteger, default=0, server_default=text("0"))


class SignIn(Base):
    """One signed-in browser; its cookie carries only the secret that ``digest`` is the SHA-256 of."""

    __tablename__ = "sign_ins"

    digest: Mapped[str] = mapped_column(exact(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    confirmed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    """When the password was last asked for."""
    user_agent: Mapped[str] = mapped_column(String(200), default="")

    user: Mapped[User] = relationship(lazy="raise")
