"""A second factor: the secret shared with an authenticator, codes for its loss, and sign-ins half done."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.models.base import BigId, Sealed, UtcDateTime, exact, utcnow


class SecondFactor(Base):
    """What a user's authenticator makes its codes of. Of the steps of time none up to ``last_step`` counts again."""

    __tablename__ = "second_factors"

    user_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    sealed: Mapped[bytes] = mapped_column(Sealed)
    last_step: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)


class RecoveryCode(Base):
    """A code that stands in for the authenticator once; ``digest`` is its SHA-256."""

    __tablename__ = "recovery_codes"

    digest: Mapped[str] = mapped_column(exact(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)


class HalfSignIn(Base):
    """A browser in which the password was right and the code is still to come; it opens nothing but that page."""

    __tablename__ = "half_sign_ins"

    digest: Mapped[str] = mapped_column(exact(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)
