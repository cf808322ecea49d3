"""ChatGPT accounts behind credentials, and sign-ins that wait for their outcome to be pasted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Double, ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.models.base import BigId, Json, Sealed, UtcDateTime, exact, utcnow


class CodexAccount(Base):
    """What a credential's access token is renewed with, and by whom. Moments of the lease in seconds since the epoch.

    ``turn`` rises with every step of a renewal: who writes names the turn that was read, so that one of several wins.
    """

    __tablename__ = "codex_accounts"
    __table_args__ = (UniqueConstraint("upstream_id", "account_id", name="uq_codex_accounts_account"),)

    credential_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("credentials.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    upstream_id: Mapped[int] = mapped_column(ForeignKey("upstreams.id", ondelete="CASCADE"))
    account_id: Mapped[str] = mapped_column(exact(100))
    email: Mapped[str] = mapped_column(String(254), default="")
    plan: Mapped[str] = mapped_column(String(40), default="")
    refresh: Mapped[bytes] = mapped_column(Sealed)
    state: Mapped[str] = mapped_column(String(16), default="connected")
    ends_at: Mapped[float] = mapped_column(Double)
    renew_at: Mapped[float] = mapped_column(Double)
    turn: Mapped[int] = mapped_column(Integer, default=0)
    leased_until: Mapped[float] = mapped_column(Double, default=0.0)
    asked: Mapped[bool] = mapped_column(default=False)
    """Whether a renewal was begun whose outcome was not kept: the refresh token may be spent."""
    tries: Mapped[Any] = mapped_column(Json, default=list)
    """When the last renewals were tried."""
    failures: Mapped[int] = mapped_column(Integer, default=0)
    retry_at: Mapped[float] = mapped_column(Double, default=0.0)
    quota: Mapped[Any | None] = mapped_column(Json)
    quota_at: Mapped[float] = mapped_column(Double, default=0.0)


class CodexSignIn(Base):
    """A sign-in that an administrator began; its row is taken away by whoever ends it, once."""

    __tablename__ = "codex_sign_ins"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    digest: Mapped[str] = mapped_column(exact(64), unique=True)
    upstream_id: Mapped[int] = mapped_column(ForeignKey("upstreams.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    verifier: Mapped[bytes] = mapped_column(Sealed)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
