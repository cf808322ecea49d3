"""The working behind a record's cost: what was counted, at which rate, and what it came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from app.protocol.price import MILLION, Rates, lines
from app.services.repricing import usage_of

if TYPE_CHECKING:
    from app.models import Record


class Line(msgspec.Struct, frozen=True):
    """One kind of what was used: how much, nano-dollars for a million (or one search), and nano-dollars for all."""

    kind: str
    count: int
    rate: int | None
    nanos: int | None


def invoice(record: Record) -> list[Line]:
    """Return the lines of a record's cost, at the rates it was paid at; empty where no price was known."""
    if record.price is None:
        return []
    rates = msgspec.convert({name: value for name, value in record.price.items() if name != "id"}, Rates)
    usage = usage_of(record)
    found = [
        Line(kind, count, rate, None if rate is None else (count * rate + MILLION // 2) // MILLION)
        for kind, count, rate in lines(rates, usage)
    ]
    if usage.web_searches:
        each = rates.web_search
        found.append(Line("web_search", usage.web_searches, each, None if each is None else each * usage.web_searches))
    return found
