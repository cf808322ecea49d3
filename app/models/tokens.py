"""API keys of users: only a digest is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Base
from app.models.base import BigId, Json, UtcDateTime, exact, utcnow
from app.models.users import User


class Token(Base):
    """A user's API key; ``digest`` is the SHA-256 of the whole secret, ``models`` its allow-list (null: all)."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(exact(64), unique=True)
    last4: Mapped[str] = mapped_column(String(4))
    models: Mapped[Any | None] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    networks: Mapped[Any | None] = mapped_column(Json)
    """Where it may be used from, as a list of networks (null: everywhere)."""
    client: Mapped[str] = mapped_column(String(100), default="", server_default=text("''"))
    """What the program that used it last calls itself."""
    line: Mapped[int | None] = mapped_column(BigInteger, index=True)
    """The first of the tokens that this one followed when they were rotated (null: it is the first itself)."""

    user: Mapped[User] = relationship(lazy="raise")
