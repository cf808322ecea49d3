"""What is kept of each request: who, what, how it ended and what it used; never its content."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.models.base import Json, UtcDateTime, exact


class Record(Base):
    """One client request of a create or tool endpoint, keyed by our own call id; times in ms, tokens as counts."""

    __tablename__ = "records"
    __table_args__ = (
        Index("ix_records_user", "user_id", "at"),
        Index("ix_records_at", "at"),
        Index("ix_records_request_id", "request_id"),
        Index("ix_records_token", "token_id", "at"),
        Index("ix_records_conversation", "user_id", "conversation", "at"),
    )

    id: Mapped[str] = mapped_column(exact(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    request_id: Mapped[str] = mapped_column(exact(64))
    user_id: Mapped[int] = mapped_column(BigInteger)
    token_id: Mapped[int] = mapped_column(BigInteger)
    endpoint: Mapped[str] = mapped_column(String(40))
    protocol: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(200), default="")
    upstream_model: Mapped[str] = mapped_column(String(200), default="")
    upstream_id: Mapped[int | None] = mapped_column(BigInteger)
    credential_id: Mapped[int | None] = mapped_column(BigInteger)
    stream: Mapped[bool] = mapped_column(default=False)
    status: Mapped[int] = mapped_column(Integer)
    end: Mapped[str] = mapped_column(String(24))
    reason: Mapped[str] = mapped_column(String(200), default="")
    first_byte_ms: Mapped[int | None] = mapped_column(Integer)
    first_content_ms: Mapped[int | None] = mapped_column(Integer)
    total_ms: Mapped[int] = mapped_column(Integer)
    bytes_in: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_out: Mapped[int] = mapped_column(BigInteger, default=0)
    usage_state: Mapped[str] = mapped_column(String(16), default="unknown")
    input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cache_read_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cache_write_5m_tokens: Mapped[int | None] = mapped_column(BigInteger)
    cache_write_1h_tokens: Mapped[int | None] = mapped_column(BigInteger)
    output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    reasoning_tokens: Mapped[int | None] = mapped_column(BigInteger)
    audio_input_tokens: Mapped[int | None] = mapped_column(BigInteger)
    audio_output_tokens: Mapped[int | None] = mapped_column(BigInteger)
    web_searches: Mapped[int | None] = mapped_column(Integer)
    service_tier: Mapped[str] = mapped_column(String(24), default="", server_default=text("''"))
    usage_raw: Mapped[Any | None] = mapped_column(Json)
    cost_nanos: Mapped[int | None] = mapped_column(BigInteger)
    """In nano-dollars; null is unknown, not zero."""
    price: Mapped[Any | None] = mapped_column(Json)
    """The rates that the cost was computed with."""
    conversation: Mapped[str] = mapped_column(exact(32), default="", server_default=text("''"))
    """A hash of what the client named the conversation by; empty where it named none."""
    left_out: Mapped[Any | None] = mapped_column(Json)
    """Pairs: what was left out when the call was placed, and why; null where nothing was."""


class Attempt(Base):
    """One call of one upstream with one credential, made for a request."""

    __tablename__ = "attempts"

    record_id: Mapped[str] = mapped_column(exact(32), primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True)
    upstream_id: Mapped[int] = mapped_column(BigInteger)
    credential_id: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(String(200), default="")
    first_byte_ms: Mapped[int | None] = mapped_column(Integer)
    total_ms: Mapped[int] = mapped_column(Integer)
    upstream_request_id: Mapped[str] = mapped_column(String(200), default="")
