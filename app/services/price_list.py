"""Prices that the ``genai-prices`` package knows for what the catalogue serves, held against what is set.

The package is asked by command and by an administrator's click alone, and never by a call: its import takes a while.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import gevent
import msgspec

from app.models.base import utcnow
from app.protocol.price import NANOS, Rates, Tariff, Tier
from app.services import catalog, prices, pricing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from app.models import Model, User

SOURCE = "genai-prices"
KINDS = {
    "input": "input_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write_5m": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "output": "output_mtok",
    "audio_input": "input_audio_mtok",
    "audio_output": "output_audio_mtok",
    "web_search": "web_searches_kcount",
}
SERVICES = ("flex", "priority")
PROVIDERS = {"anthropic": "anthropic", "codex_oauth": "openai"}
"""Whose prices an upstream of a kind has wherever it is reached."""


class Offer(msgspec.Struct, frozen=True):
    """What a model costs by the list, and what it costs now (None: it has no price).

    ``by_name`` tells that the provider wasn't known by the upstream's address, and that the name alone decided;
    ``manual`` that the present price was set by hand.
    """

    model_id: int
    model: str
    tariffs: Any
    present: Any
    source: str
    by_name: bool
    manual: bool

    @property
    def changes(self) -> bool:
        return bool(self.tariffs != self.present)


def offers() -> list[Offer]:
    """Return what the list says about each model of the catalogue that it knows; patterns have no price there."""
    known = gevent.get_hub().threadpool.apply(_read)
    found = (_offer(known, model) for model in catalog.list_models() if not model.name.endswith("*"))
    return [offer for offer in found if offer is not None]


def _read() -> Any:
    """Load the list, in a thread of its own: nobody's stream waits for the import."""
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def take(wanted: Collection[str], *, actor: User | None) -> int:
    """Set the prices of these models to what the list says; return how many changed."""
    taken = [offer for offer in offers() if offer.model in wanted and offer.changes]
    for offer in taken:
        tariffs = msgspec.convert(offer.tariffs, dict[str, Tariff])
        standard = tariffs.pop(pricing.STANDARD)
        prices.put(offer.model_id, standard, services=tariffs, source=offer.source, actor=actor)
    return len(taken)


def _offer(known: Any, model: Model) -> Offer | None:
    for name, provider, url in _places(model):
        try:
            found, info = known.find_provider_model(name, None, provider, url)
        except LookupError:
            continue
        standard = _tariff(info.get_prices(utcnow()))
        if standard is None:
            continue
        services = {tier: _tariff(info.get_prices(utcnow(), {"service_tier": tier})) for tier in SERVICES}
        priced = {tier: tariff for tier, tariff in services.items() if tariff is not None and tariff != standard}
        present = next(iter(prices.list_for(model.id)), None)
        return Offer(
            model.id,
            model.name,
            pricing.written(standard, priced),
            present.tariffs if present else None,
            f"{SOURCE} {found.id}"[:40],
            by_name=provider is None and url is None,
            manual=present is not None and present.source == prices.MANUAL,
        )
    return None


def _places(model: Model) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield name, provider and address to look under, the surest first."""
    for route in model.routes:
        name = route.upstream_model or model.name
        yield name, None, route.upstream.base_url
        if route.upstream.kind in PROVIDERS:
            yield name, PROVIDERS[route.upstream.kind], None
    for route in model.routes:
        yield route.upstream_model or model.name, None, None


def _tariff(listed: Any) -> Tariff | None:
    """Return a listed price as ours; None where it says nothing about tokens."""
    told = {kind: getattr(listed, name, None) for kind, name in KINDS.items()}
    starts = {tier.start for value in told.values() for tier in getattr(value, "tiers", ())}
    rates = _rates(told, 0)
    if rates.input is None and rates.output is None:
        return None
    return Tariff(rates, tuple(Tier(start, _rates(told, start)) for start in sorted(starts)))


def _rates(told: dict[str, Any], start: int) -> Rates:
    return Rates(**{kind: _nanos(kind, value, start) for kind, value in told.items() if value is not None})


def _nanos(kind: str, value: Any, start: int) -> int:
    """Return one rate where the input passes ``start``; of searches the list has the price of a thousand."""
    if not isinstance(value, Decimal):
        value = next((tier.price for tier in reversed(value.tiers) if tier.start <= start), value.base)
    return int(value * NANOS / (1000 if kind == "web_search" else 1))
