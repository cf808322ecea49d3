"""Provider endpoints and the secrets they are called with."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Base
from app.models.base import BigId, Declarable, Json, Sealed, UtcDateTime, utcnow


class Upstream(Declarable, Base):
    """A configured provider endpoint of one kind (see ``app.upstreams.UPSTREAMS``)."""

    __tablename__ = "upstreams"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    kind: Mapped[str] = mapped_column(String(32))
    base_url: Mapped[str] = mapped_column(String(500))
    enabled: Mapped[bool] = mapped_column(default=True)
    priority: Mapped[int] = mapped_column(Integer, default=0)
    weight: Mapped[int] = mapped_column(Integer, default=1)
    policy: Mapped[Any | None] = mapped_column(Json)
    """What is wanted otherwise there (``app.protocol.policy``); null: nothing."""
    proxy_login: Mapped[bytes | None] = mapped_column(Sealed)
    """Who Realms is to the policy's proxy, sealed together with that one's address; null: nobody in particular."""
    proxy_reference: Mapped[str] = mapped_column(String(500), default="", server_default=text("''"))
    """Where a configuration file has that login from; empty where it was entered."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)

    credentials: Mapped[list[Credential]] = relationship(
        back_populates="upstream", lazy="raise", order_by="Credential.id", cascade="all, delete-orphan"
    )


class Credential(Declarable, Base):
    """A secret that an upstream is called with, sealed together with the origin it was entered for."""

    __tablename__ = "credentials"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    upstream_id: Mapped[int] = mapped_column(ForeignKey("upstreams.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    sealed: Mapped[bytes] = mapped_column(Sealed)
    last4: Mapped[str] = mapped_column(String(4), default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    reference: Mapped[str] = mapped_column(String(500), default="", server_default=text("''"))
    """Where a configuration file has the secret from; empty where it was entered."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)

    upstream: Mapped[Upstream] = relationship(back_populates="credentials", lazy="raise")
