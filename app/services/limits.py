"""Holds every call to the limits of its user, its token and its model: room is reserved before, settled after.

A reservation is an estimate (the size of the request, and the most that may be written); settling brings it to what
was used. What can't be known is never credited: a call of unknown cost keeps what it reserved.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from app.protocol.call import Call
from app.protocol.endpoints import Kind, Shape
from app.protocol.envelope import Envelope
from app.protocol.errors import Problem, RelayError
from app.protocol.limit import BOUNDS, INPUT_MOST, MONEY, OUTPUT_BOUNDS, REQUESTS, TOKENS, counted
from app.protocol.price import MILLION, Price, at, cost
from app.protocol.record import Record
from app.protocol.usage import Usage, UsageState, tier_of, tokens_of
from app.services.counters import Begun, Count, Counters, Full, Want
from app.services.directory import Directory
from app.services.notices import Header, headers, refusal
from app.services.plans import Plans, applies, may_begin
from app.services.spent import Spent

OUTPUT_GUESS = 4096
"""Tokens that an answer is estimated at where the caller sets no bound."""
PAID_MIN = 5_000
"""At least so many calls that ended are remembered: more than wait for their commit while the database answers."""
PER_CALL = frozenset({Kind.CREATE, Kind.TOOL})
REPORTED, UNKNOWN = UsageState.REPORTED, UsageState.UNKNOWN
_NOTHING: list[Header] = []
_NO_MODEL = 1, 1, 0, 0
"""What a call needs whose model there is not, as its caller is about to be told."""


class Ticket(msgspec.Struct):
    """Room that a call has taken; ``headers`` tell its caller what is left, ``young`` is as in its plan.

    What a provider ``stores`` may go on without its client, who may read how it ended later.
    """

    headers: list[Header]
    wants: list[Want]
    young: list[str] = []
    stores: bool = False


NO_LIMITS = Ticket(_NOTHING, [])


class Limits:
    """Admits calls. One serves a whole worker."""

    def __init__(self, directory: Directory, counters: Counters, spent: Spent) -> None:
        self._directory = directory
        self._counters = counters
        self._plans = Plans(counters, spent)
        self._tickets: dict[str, Ticket] = {}
        self._paid: dict[str, list[str]] = {}
        self._paid_before: dict[str, list[str]] = {}
        """What of young limits the last calls to end were counted under, by their ids."""
        counters.reserved = self._reserved

    def acquire(self, call: Call, conversation: str = "") -> Ticket:
        """Return the room for a call. Raises ``RelayError``: 429, on Messages 402 for money; 503 if nobody can tell."""
        model = self._directory.snapshot.model(call.model) if call.model else None
        rules = call.caller.rules + (model.rules if model is not None else ())
        if not rules:
            return NO_LIMITS
        now = time.time_ns() / 1e9
        prices = model.prices if model is not None else ()
        plan = self._plans.of(call, rules, prices, conversation, now)
        amounts = _NO_MODEL if model is None else _amounts(call, plan.dearest, prices, now, flat=plan.flat)
        counts = self._plans.counts(plan, call, conversation)
        wants = _wants(counts, amounts)
        try:
            used = self._counters.take(call.id, wants)
        except Full as full:
            raise refusal(full, now) from None
        except (SQLAlchemyError, OSError):
            message = "Realms can't check the limits of this token now; try again later."
            raise RelayError(Problem.OVERLOADED, message, retry_after=5) from None
        young = may_begin(counts) if plan.young and plan.talks else plan.young
        ticket = Ticket(headers(plan.rates, used, now), wants, young, call.stores)
        if call.endpoint.kind in PER_CALL:
            self._tickets[call.id] = ticket
        return ticket

    def settle(self, record: Record) -> None:
        """Bring what a call had reserved to what it used; a call without reservations changes nothing."""
        ticket = self._tickets.pop(record.id, None)
        if ticket is None:
            return
        known = record.usage.state is not UNKNOWN or record.cost is not None
        used = None, 0, counted(record.usage) if known else None, record.cost
        settled = []
        for want in ticket.wants:
            count, amount = want
            if (unit := count.rule.unit) != REQUESTS:
                now = used[unit]
                settled.append((want, amount if now is None else now))  # what isn't known stays reserved
        if ticket.young:
            self._remember(record.id, ticket.young)
        later = ticket.stores and record.usage.state is not REPORTED and record.cost != 0
        self._counters.give(record.id, settled, later=later)

    def complete(self, record: Record) -> None:
        """Bring what a call that was settled before is counted with to what it cost after all."""
        if record.cost is not None:
            self._counters.complete(record.id, record.cost)

    def _remember(self, call_id: str, keys: list[str]) -> None:
        """Take note of what a call was counted under; many are forgotten at once, so that none has to be looked for."""
        if len(self._paid) >= PAID_MIN:
            self._paid_before, self._paid = self._paid, {}
        self._paid[call_id] = keys

    def has_counted(self, call_id: str, key: str) -> bool:
        """Return whether a call that ended just now was counted there."""
        return any(key in paid.get(call_id, ()) for paid in (self._paid, self._paid_before))

    def reserve(self, call: Call, begun: Begun) -> Want | None:
        """Return the room that a call takes which runs as a count begins; None where it counts nothing there."""
        rule = begun.rule
        ticket = self._tickets.get(call.id) or Ticket(_NOTHING, [], stores=call.stores)
        known = any(count.rule.key == rule.key for count, _ in ticket.wants)
        if known or not applies(call, rule.measure, begun.conversation):
            return None
        amounts: tuple[int, ...] = (1, 1, 1, 1)
        with suppress(RelayError):
            prices = self._directory.snapshot.prices(call.model)
            amounts = _amounts(call, rule.unit, prices, time.time_ns() / 1e9)
        (want,) = _wants([Count(rule, begun.key, begun.span)], amounts)
        ticket.wants.append(want)
        if rule.money:
            ticket.young = [*ticket.young, begun.key]
        self._tickets[call.id] = ticket
        return want

    @property
    def held(self) -> int:
        """How many calls hold reservations."""
        return len(self._tickets)

    def _reserved(self, key: str) -> int:
        return sum(amount for ticket in self._tickets.values() for count, amount in ticket.wants if count.key == key)


def _wants(counts: list[Count], amounts: tuple[int, ...]) -> list[Want]:
    """Return what a call needs; what is larger than its limit may still go alone."""
    wants = []
    for count in counts:
        rule = count.rule
        amount = amounts[rule.unit]
        wants.append((count, amount if amount <= rule.most else max(1, rule.most)))
    return wants


def _amounts(
    call: Call, dearest: int, prices: tuple[Price, ...], now: float, *, flat: tuple[int, int] | None = None
) -> tuple[int, ...]:
    """Return what a call may need at most, by unit, up to the dearest. Raises ``RelayError`` where it has no price.

    ``flat`` rates hold for every call of the usual tier, and are quick to reckon with.
    """
    if dearest < TOKENS:
        return 1, 1
    body, output, tier = call.body, OUTPUT_GUESS, ""
    if body is not None and body.has_any(BOUNDS):
        output, tier = _bound(body, call.endpoint.shape) * _choices(body), tier_of(body.get("service_tier"))
    read = 0 if body is None else min(tokens_of(body.size), INPUT_MOST)
    if dearest < MONEY:
        return 1, 1, read + output
    if flat is None or tier:
        guess = Usage(input=read, output=output, service_tier=tier)
        return 1, 1, read + output, _cost(call.model, guess, at(prices, now))
    of_input, of_output = flat
    return 1, 1, read + output, (read * of_input + output * of_output + MILLION // 2) // MILLION


def _cost(model: str, guess: Usage, price: Price | None) -> int:
    """Return what a model costs for that usage. Raises ``RelayError`` where it has no price for it."""
    rates = price.rates(guess) if price is not None else None
    paid = cost(rates, guess) if rates is not None else None
    if paid is None:
        message = f"The model '{model}' has no price, so it can't be used under a limit of money."
        raise RelayError(Problem.INSUFFICIENT_QUOTA, message, param="model")
    return paid


def _bound(body: Envelope, shape: Shape) -> int:
    """Return the bound of an answer; of several the highest, for who knows which of them its provider goes by."""
    most = 0
    for name in OUTPUT_BOUNDS.get(shape, ()):
        told: Any = body.get(name)
        if isinstance(told, int) and not isinstance(told, bool):
            most = max(most, told)
    return most or OUTPUT_GUESS


def _choices(body: Envelope) -> int:
    value: Any = body.get("n")
    return min(value, 128) if isinstance(value, int) and value > 0 else 1
