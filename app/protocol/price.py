"""What a call costs: whole nano-dollars, from counts and rates that are whole numbers too.

A rate is in nano-dollars for a million tokens (USD 3 a million is 3,000,000,000), so that the smallest real prices
stay exact; a cost is rounded once, half up, to the nano-dollar. What has no price costs "unknown": neither zero nor a
default.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from app.protocol.usage import Usage

MILLION = 1_000_000
NANOS = 1_000_000_000
"""Nano-dollars in a dollar."""


class Rates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Nano-dollars for a million tokens of each kind, and for one search; None is unknown.

    Cache reads and five-minute writes without a rate of their own cost what fresh input does. What providers sell
    dearer than plain tokens (hour-long cache writes, audio, searches) has no such fallback.
    """

    input: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    web_search: int | None = None


class Tier(msgspec.Struct, frozen=True):
    """The rates of calls whose whole input (cached included) has more than ``above`` tokens: for all their tokens."""

    above: int
    rates: Rates


class Tariff(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rates, and those above thresholds of input, lowest first."""

    rates: Rates
    tiers: tuple[Tier, ...] = ()

    def at(self, input_tokens: int) -> Rates:
        """Return the rates for a call with so much input."""
        return next((tier.rates for tier in reversed(self.tiers) if input_tokens > tier.above), self.rates)


class Price(msgspec.Struct, frozen=True):
    """One version of a model's prices, in force from ``valid_from`` (seconds since the epoch) on."""

    id: int
    valid_from: float
    standard: Tariff
    services: dict[str, Tariff] = {}
    """Tariffs by the provider's service tier, where that isn't the usual one."""

    def rates(self, usage: Usage) -> Rates | None:
        """Return the rates that a call's usage falls under; None where its service tier has no price."""
        tariff = self.services.get(usage.service_tier) if usage.service_tier else self.standard
        if tariff is None or not tariff.tiers:
            return None if tariff is None else tariff.rates
        read = (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write_5m or 0) + (usage.cache_write_1h or 0)
        return tariff.at(read)


class Bill(msgspec.Struct, frozen=True):
    """What a call costs in nano-dollars (None: unknown), and the price snapshot that this was computed with."""

    cost: int | None
    price: dict[str, Any] | None = None


FREE = Bill(0)
UNPRICED = Bill(None)


def at(prices: tuple[Price, ...], moment: float) -> Price | None:
    """Return the version in force at ``moment``; ``prices`` has the newest first."""
    for price in prices:
        if price.valid_from <= moment:
            return price
    return None


def flat(prices: tuple[Price, ...], since: float, until: float, *, most: int) -> tuple[int, int] | None:
    """Return the rates of plain input and output, where all calls of the usual tier fall under them in that time.

    None where prices change meanwhile, one of them is unknown, or they depend on the input, of ``most`` tokens at most.
    """
    price = at(prices, since)
    if price is None or price is not at(prices, until):
        return None
    rates = price.standard.rates
    if rates.input is None or rates.output is None or price.standard.at(most) is not rates:
        return None
    return rates.input, rates.output


def bill(price: Price | None, usage: Usage) -> Bill:
    """Return what a call with this usage costs."""
    rates = price.rates(usage) if price is not None else None
    if price is None or rates is None or (usage.input is None and usage.output is None):
        return UNPRICED
    return Bill(cost(rates, usage), {"id": price.id, **msgspec.to_builtins(rates)})


def cost(rates: Rates, usage: Usage) -> int | None:
    """Return the cost in nano-dollars, or None where a kind that was used has no rate."""
    total = MILLION // 2
    for _name, count, rate in lines(rates, usage):
        if rate is None:
            return None
        total += count * rate
    if not usage.web_searches:
        return total // MILLION
    return None if rates.web_search is None else total // MILLION + usage.web_searches * rates.web_search


def dollars(nanos: int) -> str:
    """Return an amount of money as people write it: to the cent, or as far as a smaller one needs."""
    sign, whole = "-" if nanos < 0 else "", abs(nanos)
    fraction = f"{whole % NANOS:09}".rstrip("0").ljust(2, "0")
    if whole >= NANOS:
        fraction = f"{(whole % NANOS + NANOS // 200) // (NANOS // 100):02}"
        if len(fraction) > 2:  # 1.999 is 2.00
            return f"{sign}${whole // NANOS + 1:,}.00"
    return f"{sign}${whole // NANOS:,}.{fraction}"


def exact_dollars(nanos: int) -> str:
    """Return an amount of money as a plain decimal number of dollars, with nothing rounded away."""
    return f"{'-' if nanos < 0 else ''}{abs(nanos) // NANOS}.{abs(nanos) % NANOS:09}"


def from_dollars(text: str) -> int:
    """Return an amount of money in nano-dollars. Raises ``ValueError`` for what is none, or finer than one of them."""
    try:
        nanos = Decimal(text.strip().removeprefix("$").replace(",", "")) * NANOS
    except InvalidOperation:
        raise ValueError(text) from None
    if not nanos.is_finite() or nanos < 0 or nanos != nanos.to_integral_value() or nanos > 10**18:
        raise ValueError(text)
    return int(nanos)


def lines(rates: Rates, usage: Usage) -> list[tuple[str, int, int | None]]:
    """Return what is paid for by the token: kind, how many, and its rate. Kinds that weren't used are left out."""
    found: list[tuple[str, int, int | None]] = []
    audio_in, audio_out = usage.audio_input or 0, usage.audio_output or 0
    if count := (usage.input or 0) - audio_in:
        found.append(("input", count, rates.input))
    if audio_in:
        found.append(("audio_input", audio_in, rates.audio_input))
    if usage.cache_read:
        read = rates.input if rates.cache_read is None else rates.cache_read
        found.append(("cache_read", usage.cache_read, read))
    if usage.cache_write_5m:
        wrote = rates.input if rates.cache_write_5m is None else rates.cache_write_5m
        found.append(("cache_write_5m", usage.cache_write_5m, wrote))
    if usage.cache_write_1h:
        found.append(("cache_write_1h", usage.cache_write_1h, rates.cache_write_1h))
    if count := (usage.output or 0) - audio_out:
        found.append(("output", count, rates.output))
    if audio_out:
        found.append(("audio_output", audio_out, rates.audio_output))
    return found
