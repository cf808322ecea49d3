"""The form of a configuration file: which fields a row has, how each is read from YAML, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from app.protocol import policy as policies
from app.protocol.limit import Measure
from app.protocol.price import NANOS, Rates, Tariff, Tier, from_dollars
from app.services.addresses import normal_base_url
from app.services.choices import Choices
from app.services.declared.references import Reference
from app.services.fields import FieldError

EVERYTHING = "all"
"""How a limit that isn't narrowed to one model is called."""
EXACT_DIGITS = 15
"""So many digits of a number survive as YAML's kind of number."""


class UnfitError(ValueError):
    """A value that a field doesn't take, as a sentence."""


class Field(NamedTuple):
    """``read`` takes what YAML says, and raises ``ValueError`` with a sentence; ``show`` gives it back."""

    read: Callable[[Any], Any]
    show: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True)
class Form:
    """A row: its own fields, and the kinds of rows that stand under it by name.

    ``short`` is the field that a bare value stands for; ``key`` brings a name into the form it is kept in.
    ``ignored`` may be there and say nothing: numbers are a database's own.
    """

    fields: Mapping[str, Field]
    parts: Mapping[str, Form] = field(default_factory=dict)
    short: str = ""
    key: Callable[[str], str] = str.strip
    ignored: frozenset[str] = frozenset({"id"})


def text(value: Any) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise UnfitError("must be text; put it in quotes")
    return value.strip()


def address(value: Any) -> str:
    """Read a base URL, in the form it is kept in."""
    try:
        return normal_base_url(text(value), refuse=FieldError)
    except FieldError as error:
        raise UnfitError(str(error)) from None


def flag(value: Any) -> bool:
    """Read a yes or no."""
    if not isinstance(value, bool):
        raise UnfitError("must be true or false")
    return value


def whole(value: Any) -> int:
    """Read a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnfitError("must be a whole number")
    return value


def money(value: Any) -> int:
    """Read dollars, as nano-dollars."""
    try:
        return from_dollars("" if isinstance(value, bool) else str(value))
    except ValueError:
        raise UnfitError("must be an amount in dollars, such as 5 or 0.25") from None


def plain_dollars(nanos: int) -> int | float | str:
    """Write nano-dollars as a number, or as text where that would round it."""
    amount = Decimal(nanos) / NANOS
    if amount == amount.to_integral_value():
        return int(amount)
    told = f"{amount:f}".rstrip("0")
    return float(told) if len(told.replace(".", "").lstrip("0")) <= EXACT_DIGITS else told


def moment(value: Any) -> datetime:
    """Read a day or a moment; without a zone it is UTC's."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise UnfitError("must be a moment, such as 2026-01-31 or 2026-01-31T12:00:00Z") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise UnfitError("must be a moment, such as 2026-01-31 or 2026-01-31T12:00:00Z")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def told_moment(value: datetime) -> str:
    """Write a moment."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def optional(known: Field) -> Field:
    """Return the field that may also be null."""
    return Field(
        lambda value: None if value is None else known.read(value),
        lambda value: None if value is None else known.show(value),
    )


def policy(value: Any) -> Any:
    """Read a policy, as it is kept: null where nothing is wanted otherwise."""
    try:
        written = msgspec.json.encode({} if value is None else value)
    except (TypeError, ValueError) as error:
        raise UnfitError(str(error)) from None
    return msgspec.to_builtins(policies.read(written)) or None


def tariff(value: Any) -> Any:
    """Read the prices of one service tier, as they are kept."""
    if not isinstance(value, dict):
        raise UnfitError("must name prices in dollars for a million tokens, such as {input: 1.25, output: 10}")
    tiers = value.get("tiers") or {}
    if not isinstance(tiers, dict) or not all(isinstance(each, dict) for each in tiers.values()):
        raise UnfitError("tiers: must map numbers of input tokens to prices")
    found = sorted(((_count(above), rates) for above, rates in tiers.items()), key=lambda tier: tier[0])
    steps = tuple(Tier(above, _rates(rates)) for above, rates in found)
    return msgspec.to_builtins(Tariff(_rates({name: rate for name, rate in value.items() if name != "tiers"}), steps))


def told_tariff(kept: Any) -> Any:
    """Write the prices of one service tier."""
    known = msgspec.convert(kept, Tariff)
    tiers = {tier.above: _told_rates(tier.rates) for tier in known.tiers}
    return _told_rates(known.rates) | ({"tiers": tiers} if tiers else {})


def tariffs(value: Any) -> Any:
    """Read the prices of service tiers by their names."""
    if not isinstance(value, dict):
        raise UnfitError("must map service tiers to prices")
    return {text(name): tariff(each) for name, each in value.items()}


def _count(value: Any) -> int:
    """Read a number of tokens; JSON has only texts for names."""
    return whole(int(value) if isinstance(value, str) and value.isdecimal() else value)


def _rates(value: dict[Any, Any]) -> Rates:
    known = Rates.__struct_fields__
    for name in value:
        if name not in known:
            raise UnfitError(f"there is no price of {name}; known are {', '.join(known)}")
    return Rates(**{name: money(rate) for name, rate in value.items() if rate is not None})


def _told_rates(rates: Rates) -> dict[str, Any]:
    told = msgspec.structs.asdict(rates)
    return {name: plain_dollars(rate) for name, rate in told.items() if rate is not None}


KINDS = {"str": Field(text), "int": Field(whole), "bool": Field(flag)}
"""How a choice is read, by the name of its type: whatever administrators can choose stands in a file, too."""
MONEY = Field(money, plain_dollars)
MOMENT = Field(moment, told_moment)
LIMIT = Form({measure.value: optional(MONEY if measure.is_money else Field(whole)) for measure in Measure})
CREDENTIAL = Form({"secret": Field(Reference.read, str), "enabled": Field(flag)}, short="secret")
ROUTE = Form({
    "upstream_model": optional(Field(text)),
    "priority": optional(Field(whole)),
    "weight": optional(Field(whole)),
    "enabled": Field(flag),
})  # fmt: skip
PRICE = Form(
    {"standard": Field(tariff, told_tariff), "services": Field(tariffs, lambda kept: {
        name: told_tariff(each) for name, each in kept.items()
    }), "source": Field(text)},
    key=lambda name: told_moment(moment(name)),
)  # fmt: skip
UPSTREAM = Form(
    {
        "kind": Field(text),
        "base_url": Field(address),
        "enabled": Field(flag),
        "priority": Field(whole),
        "weight": Field(whole),
        "policy": Field(policy),
        "proxy_login": Field(Reference.read, str),
    },
    {"credentials": CREDENTIAL},
)
MODEL = Form(
    {"owned_by": Field(text), "enabled": Field(flag)}, {"routes": ROUTE, "prices": PRICE, "limits": LIMIT}
)  # fmt: skip
USER = Form(
    {
        "name": Field(text),
        "role": Field(text),
        "enabled": Field(flag),
        "initial_password": Field(Reference.read, str),
    },
    {"limits": LIMIT},
    key=lambda name: name.strip().lower(),
)
ANNOUNCEMENT = Form({"ends_at": optional(MOMENT)})
SETTINGS = Form({each.name: KINDS[str(each.type)] for each in fields(Choices)})

SECTIONS: dict[str, Form] = {
    "upstreams": UPSTREAM,
    "models": MODEL,
    "users": USER,
    "announcements": ANNOUNCEMENT,
}
"""The parts of a file whose rows have names; ``settings`` is a row by itself."""


def form_of(path: tuple[str, ...]) -> Form:
    """Return the form of the row at a path."""
    if path == ("settings",):
        return SETTINGS
    section = SECTIONS[path[0]]
    return section if len(path) == 2 else section.parts[path[2]]
