"""Pays records again at the prices of today's price list, and brings every sum along."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Select, select, update

from app.extensions import db
from app.models import Model, Record
from app.protocol.endpoints import BY_NAME, Kind
from app.protocol.price import Bill, Price, at, bill
from app.protocol.usage import Usage, UsageState
from app.services import allowances, posting, pricing
from app.services.changes import change

if TYPE_CHECKING:
    from app.models import User

_PriceList = Callable[[str], tuple[Price, ...] | None]
CHUNK = 500
_COUNTS = {
    "input": "input_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write_5m": "cache_write_5m_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "audio_input": "audio_input_tokens",
    "audio_output": "audio_output_tokens",
    "web_searches": "web_searches",
    "service_tier": "service_tier",
}


class Outcome(msgspec.Struct):
    """What paying again comes to, in records and nano-dollars; ``unknown`` records have no price still."""

    seen: int = 0
    changed: int = 0
    unknown: int = 0
    before: int = 0
    after: int = 0


def preview(begin: datetime, end: datetime, *, model: str = "") -> Outcome:
    """Return what ``apply`` would do to the records from ``begin`` to ``end`` (not included)."""
    return _run(begin, end, model=model, write=False)


def apply(begin: datetime, end: datetime, *, model: str = "", actor: User | None) -> Outcome:
    """Pay these records again; each portion of them with its sums in one transaction."""
    outcome = _run(begin, end, model=model, write=True)
    with change("prices.reprice", f"records of {model or 'all models'}"[:200], actor=actor) as told:
        allowances.count_anew()
        told.before = {"cost_nanos": outcome.before}
        told.after = {
            "from": begin.isoformat(),
            "to": end.isoformat(),
            "changed": outcome.changed,
            "cost_nanos": outcome.after,
        }
    return outcome


def usage_of(row: Any) -> Usage:
    """Return the usage that a row of a record keeps."""
    counts = {name: getattr(row, column) for name, column in _COUNTS.items()}
    return Usage(state=UsageState(row.usage_state), **counts)


def _run(begin: datetime, end: datetime, *, model: str, write: bool) -> Outcome:
    outcome = Outcome()
    prices_of = _price_list()
    after: tuple[datetime, str] | None = None
    while rows := db.session.execute(_portion(begin, end, model=model, after=after, lock=write)).all():
        changed = [pair for row in rows if (pair := _changed(row, prices_of, outcome))]
        if write:
            for _, now in changed:
                values = {name: now[name] for name in ("cost_nanos", "price")}
                db.session.execute(update(Record).where(Record.id == now["id"]).values(**values))
            posting.move(db.session.connection(), changed)
            db.session.commit()
        after = rows[-1].at, rows[-1].id
    db.session.rollback()
    return outcome


def _portion(
    begin: datetime, end: datetime, *, model: str, after: tuple[datetime, str] | None, lock: bool
) -> Select[Any]:
    wanted = select(Record.__table__).where(Record.at >= begin, Record.at < end)
    if model:
        wanted = wanted.where(Record.model == model)
    if after is not None:
        wanted = wanted.where((Record.at > after[0]) | ((Record.at == after[0]) & (Record.id > after[1])))
    wanted = wanted.order_by(Record.at, Record.id).limit(CHUNK)
    return wanted.with_for_update() if lock else wanted


def _changed(row: Any, prices_of: _PriceList, outcome: Outcome) -> tuple[Any, Any] | None:
    """Return a record before and after, or None where it stays as it is."""
    told = _bill(row, prices_of)
    outcome.seen += 1
    outcome.before += row.cost_nanos or 0
    outcome.after += told.cost or 0
    outcome.unknown += told.cost is None
    if told.cost == row.cost_nanos and told.price == row.price:
        return None
    outcome.changed += 1
    before = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    return before, before | {"cost_nanos": told.cost, "price": told.price}


def _bill(row: Any, prices_of: _PriceList) -> Bill:
    """Return what a record comes to; where nothing is charged, or the name is in no catalogue any more, what it did."""
    endpoint = BY_NAME.get(row.endpoint)
    pays = endpoint is not None and endpoint.kind is Kind.CREATE and endpoint.needs_model
    prices = prices_of(row.model) if pays and row.usage_state != UsageState.UNKNOWN.value else None
    if prices is None:
        return Bill(row.cost_nanos, row.price)
    return bill(at(prices, row.at.timestamp()), usage_of(row))


def _price_list() -> _PriceList:
    """Return what tells a model's prices as calls find them; a disabled one's where nothing else serves its name."""
    prices = pricing.by_model(db.session.connection())
    served: dict[str, tuple[Price, ...]] = {}
    disabled: dict[str, tuple[Price, ...]] = {}
    for number, name, enabled in db.session.execute(select(Model.id, Model.name, Model.enabled)):
        (served if enabled else disabled)[name] = prices.get(number, ())

    @cache
    def prices_of(name: str) -> tuple[Price, ...] | None:
        found = pricing.named(served, name)
        return pricing.named(disabled, name) if found is None else found

    return prices_of
