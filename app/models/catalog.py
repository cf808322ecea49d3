"""The models that callers may ask for, and which upstreams serve them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.extensions import Base
from app.models.base import BigId, Declarable, UtcDateTime, exact, utcnow
from app.models.upstreams import Upstream


class Model(Declarable, Base):
    """An entry of the catalogue; a ``name`` that ends in ``*`` stands for every name with that beginning."""

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(exact(200), unique=True)
    owned_by: Mapped[str] = mapped_column(String(100), default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=utcnow)

    routes: Mapped[list[Route]] = relationship(
        back_populates="model", lazy="raise", order_by="Route.id", cascade="all, delete-orphan"
    )


class Route(Declarable, Base):
    """A model served by an upstream, under ``upstream_model`` there (null: under the name asked for).

    ``priority`` and ``weight`` are the upstream's own where null.
    """

    __tablename__ = "routes"
    __table_args__ = (UniqueConstraint("model_id", "upstream_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    upstream_id: Mapped[int] = mapped_column(ForeignKey("upstreams.id", ondelete="CASCADE"), index=True)
    upstream_model: Mapped[str | None] = mapped_column(exact(200))
    priority: Mapped[int | None] = mapped_column(Integer)
    weight: Mapped[int | None] = mapped_column(Integer)
    enabled: Mapped[bool] = mapped_column(default=True)

    model: Mapped[Model] = relationship(back_populates="routes", lazy="raise")
    upstream: Mapped[Upstream] = relationship(lazy="raise")
