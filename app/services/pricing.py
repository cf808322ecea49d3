"""Prices of models: kept by version, so that each record is paid at what was in force then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, select

from app.models import Price as PriceRow
from app.protocol.price import Price, Tariff

STANDARD = "standard"
"""The usual way among the tariffs of a price."""
_Entry = TypeVar("_Entry")


def named(entries: Mapping[str, _Entry], name: str) -> _Entry | None:
    """Return what a model's name goes by: its own entry, else that of the longest pattern; None where there is none."""
    if name in entries:
        return entries[name]
    patterns = (each for each in entries if each.endswith("*") and name.startswith(each[:-1]))
    return entries.get(max(patterns, key=len, default=""))


def by_model(connection: Connection) -> dict[int, tuple[Price, ...]]:
    """Return every model's prices by its id, newest first."""
    found: dict[int, list[Price]] = {}
    for row in connection.execute(select(PriceRow.__table__).order_by(PriceRow.valid_from.desc())):
        found.setdefault(row.model_id, []).append(read(row))
    return {model_id: tuple(prices) for model_id, prices in found.items()}


def read(row: Any) -> Price:
    """Return the price that a row keeps."""
    tariffs = msgspec.convert(row.tariffs, dict[str, Tariff])
    services = {name: tariff for name, tariff in tariffs.items() if name != STANDARD}
    return Price(row.id, row.valid_from.timestamp(), tariffs[STANDARD], services)


def written(standard: Tariff, services: dict[str, Tariff] | None = None) -> Any:
    """Return what a row keeps of these tariffs."""
    return msgspec.to_builtins({STANDARD: standard} | (services or {}))
