"""Prices of models: set, taken away, and records paid again at them; each change audited."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete as delete_rows
from sqlalchemy import select

from app.extensions import db
from app.models import Model, Price
from app.models.base import utcnow
from app.services import pricing
from app.services.changes import change
from app.services.fields import FieldError
from app.services.wording import say as _

if TYPE_CHECKING:
    from app.models import User
    from app.protocol.price import Tariff

RATE_MOST = 10**15
"""A million dollars for a million tokens."""
MANUAL = "manual"


class PriceError(FieldError):
    """A price that can't be set as asked."""


def list_for(model_id: int) -> list[Price]:
    """Return a model's prices, newest first."""
    return list(db.session.scalars(select(Price).where(Price.model_id == model_id).order_by(Price.valid_from.desc())))


def put(
    model_id: int,
    standard: Tariff,
    *,
    services: dict[str, Tariff] | None = None,
    valid_from: datetime | None = None,
    source: str = MANUAL,
    actor: User | None,
) -> Price:
    """Return a model's price from ``valid_from`` on, made or changed; None: from now on, its first from the beginning.

    Raises ``PriceError`` when there is no such model.
    """
    with change("price.set", "price", actor=actor) as told:
        return _put(told, model_id, pricing.written(standard, services), valid_from=valid_from, source=source)


def delete(price_id: int, *, actor: User | None) -> None:
    """Forget one version of a price; records keep what they were paid at. Raises ``PriceError``."""
    with change("price.delete", "price", actor=actor) as told:
        price = db.session.get(Price, price_id)
        model = db.session.get(Model, price.model_id) if price is not None else None
        if price is None or model is None:
            raise PriceError("", _("There is no such price."))
        told.target, told.before = f"price of {model.name}", shown(price)
        db.session.execute(delete_rows(Price).where(Price.id == price_id))


def shown(price: Price) -> dict[str, Any]:
    """Return how the audit tells a price."""
    return {"valid_from": price.valid_from.isoformat(timespec="seconds"), "source": price.source, **price.tariffs}


def _put(told: Any, model_id: int, tariffs: Any, *, valid_from: datetime | None, source: str) -> Price:
    model = db.session.get(Model, model_id)
    if model is None:
        raise PriceError("", _("There is no such model."))
    present = list_for(model_id)
    start = valid_from or (utcnow() if present else datetime(2020, 1, 1, tzinfo=UTC))
    start = start.replace(microsecond=0)
    price = next((each for each in present if each.valid_from == start), None)
    told.target = f"price of {model.name}"
    told.before = shown(price or present[0]) if present else None
    price = price or Price(model_id=model_id, valid_from=start)
    price.tariffs, price.source = tariffs, source
    db.session.add(price)
    db.session.flush()
    told.after = shown(price)
    return price
