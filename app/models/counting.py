"""Sums kept beside the records, so that no page has to add them up; prices; limits."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.models.base import BigId, Declarable, Json, UtcDateTime, exact, utcnow


class _Sums:
    """What is added up: counts, tokens of each kind, nano-dollars, ms. ``unpriced`` counts calls of unknown cost."""

    requests: Mapped[int] = mapped_column(BigInteger, default=0)
    errors: Mapped[int] = mapped_column(BigInteger, default=0)
    input_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    cache_read_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    cache_write_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    output_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    reasoning_tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    cost_nanos: Mapped[int] = mapped_column(BigInteger, default=0)
    unpriced: Mapped[int] = mapped_column(BigInteger, default=0)
    total_ms: Mapped[int] = mapped_column(BigInteger, default=0)


class Rollup(_Sums, Base):
    """The records of one hour, user, token, model and upstream (0: none was reached) in one row."""

    __tablename__ = "rollups"
    __table_args__ = (
        Index("ix_rollups_user", "user_id", "hour"),
        Index("ix_rollups_token", "token_id", "hour"),
        Index("ix_rollups_model", "model", "hour"),
    )

    hour: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    token_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    model: Mapped[str] = mapped_column(exact(200), primary_key=True)
    upstream_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class DailyRollup(_Sums, Base):
    """The same of one day by UTC, for what is told of weeks and months."""

    __tablename__ = "daily_rollups"
    __table_args__ = (
        Index("ix_daily_rollups_user", "user_id", "day"),
        Index("ix_daily_rollups_token", "token_id", "day"),
        Index("ix_daily_rollups_model", "model", "day"),
    )

    day: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    token_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    model: Mapped[str] = mapped_column(exact(200), primary_key=True)
    upstream_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class ConversationTotal(_Sums, Base):
    """The records of one user's conversation in one row; ``key`` is a hash of what the client named it by."""

    __tablename__ = "conversation_totals"
    __table_args__ = (Index("ix_conversation_totals_last", "user_id", "last_at"),)

    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(exact(32), primary_key=True)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Price(Declarable, Base):
    """One version of a model's prices; ``tariffs`` holds those of the usual way and of each other service tier."""

    __tablename__ = "prices"
    __table_args__ = (UniqueConstraint("model_id", "valid_from"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime)
    tariffs: Mapped[Any] = mapped_column(Json)
    source: Mapped[str] = mapped_column(String(40), default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)


class Limit(Declarable, Base):
    """What a user, a token or everybody together on a model may use; null is no limit.

    ``scope`` is ``user``, ``token`` or ``model``, ``subject_id`` the row there. ``model`` narrows it to one public
    model's name (empty: all of them together). Money is in nano-dollars. ``counted_as`` names the count of what was
    spent under it; with another name that is asked of the sums anew.
    """

    __tablename__ = "limits"
    __table_args__ = (UniqueConstraint("scope", "subject_id", "model"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    scope: Mapped[str] = mapped_column(exact(16))
    subject_id: Mapped[int] = mapped_column(BigInteger)
    model: Mapped[str] = mapped_column(exact(200), default="")
    counted_as: Mapped[str] = mapped_column(exact(16), default="", server_default=text("''"))
    requests_minute: Mapped[int | None] = mapped_column(Integer)
    tokens_minute: Mapped[int | None] = mapped_column(BigInteger)
    concurrent: Mapped[int | None] = mapped_column(Integer)
    money_day: Mapped[int | None] = mapped_column(BigInteger)
    money_week: Mapped[int | None] = mapped_column(BigInteger)
    money_month: Mapped[int | None] = mapped_column(BigInteger)
    money_total: Mapped[int | None] = mapped_column(BigInteger)
    money_conversation: Mapped[int | None] = mapped_column(BigInteger)
