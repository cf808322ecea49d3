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
from app.protocol.limit import BOUNDS, MONEY, OUTPUT_BOUNDS, REQUESTS, TOKENS, counted
from app.protocol.price import Price, at, cost
from app.protocol.record import Record
from app.protocol.usage import Usage, UsageState, tier_of, tokens_of
from app.services.counters import Begun, Count, Counters, Full, Want
from app.services.directory import Directory
from app.services.notices import Header, headers, refusal
from app.services.plans import Plans, applies
from app.services.spent import Spent

INPUT_MOST = 200_000
"""Tokens that a request is estimated at, at most: pictures in it are many bytes and few tokens."""
OUTPUT_GUESS = 4096
"""Tokens that an answer is estimated at where the caller sets no bound."""
PAID_MAX = 5_000
"""So many calls that ended are remembered: more than wait for their commit while the database answers."""
PER_CALL = frozenset({Kind.CREATE, Kind.TOOL})
ESTIMATED, REPORTED, UNKNOWN = UsageState.ESTIMATED, UsageState.REPORTED, UsageState.UNKNOWN
_NOTHING: list[Header] = []


class Ticket(msgspec.Struct):
    """Room that a call has taken; ``headers`` tell its caller what is left, ``young`` is as in its plan.

    What a provider ``stores`` may go on without its client, who may read how it ended later.
    """

    headers: list[Header]
    wants: list[Want]
    young: bool = False
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
        """What of young limits the last calls to end were counted under, by their ids."""
        counters.reserved = self._reserved

    def acquire(self, call: Call, conversation: str = "") -> Ticket:
        """Return the room for a call. Raises ``RelayError``: 429, on Messages 402 for money; 503 if nobody can tell."""
        model = self._directory.snapshot.model(call.model) if call.model else None
        rules = call.caller.rules + (model.rules if model is not None else ())
        if not rules:
            return NO_LIMITS
        now = time.time_ns() / 1e9
        plan = self._plans.of(call, rules, conversation, now)
        amounts = _amounts(call, plan.dearest, model.prices if model is not None else (), now)
        wants = _wants(self._plans.counts(plan, call, conversation), amounts)
        try:
            used = self._counters.take(call.id, wants)
        except Full as full:
            raise refusal(full, now) from None
        except (SQLAlchemyError, OSError):
            message = "Realms can't check the limits of this token now; try again later."
            raise RelayError(Problem.OVERLOADED, message, retry_after=5) from None
        ticket = Ticket(headers(plan.rates, used, now), wants, plan.young, call.stores)
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
            self._remember(record.id, ticket)
        later = ticket.stores and record.usage.state is not REPORTED and record.cost != 0
        self._counters.give(record.id, settled, later=later)

    def complete(self, record: Record) -> None:
        """Bring what a call that was settled before is counted with to what it cost after all."""
        if record.cost is not None:
            self._counters.complete(record.id, record.cost)

    def _remember(self, call_id: str, ticket: Ticket) -> None:
        self._paid[call_id] = [count.key for count, _ in ticket.wants if count.rule.money and count.may_begin]
        if len(self._paid) > PAID_MAX:
            del self._paid[next(iter(self._paid))]

    def has_counted(self, call_id: str, key: str) -> bool:
        """Return whether a call that ended just now was counted there."""
        return key in self._paid.get(call_id, ())

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
        ticket.young = ticket.young or rule.money
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


def _amounts(call: Call, dearest: int, prices: tuple[Price, ...], now: float) -> tuple[int, ...]:
    """Return what a call may need at most, by unit, up to the dearest. Raises ``RelayError`` where it has no price."""
    if dearest < TOKENS:
        return 1, 1
    guess = _estimate(call)
    if dearest < MONEY:
        return 1, 1, counted(guess)
    price = at(prices, now)
    rates = price.rates(guess) if price is not None else None
    paid = cost(rates, guess) if rates is not None else None
    if paid is None:
        message = f"The model '{call.model}' has no price, so it can't be used under a limit of money."
        raise RelayError(Problem.INSUFFICIENT_QUOTA, message, param="model")
    return 1, 1, counted(guess), paid


def _estimate(call: Call) -> Usage:
    """Return what a call may use at most, roughly."""
    body, output, tier = call.body, OUTPUT_GUESS, ""
    if body is not None and body.has_any(BOUNDS):
        output, tier = _bound(body, call.endpoint.shape) * _choices(body), tier_of(body.get("service_tier"))
    read = tokens_of(0 if body is None else body.size)
    return Usage(state=ESTIMATED, input=min(read, INPUT_MOST), output=output, service_tier=tier)


def _bound(body: Envelope, shape: Shape) -> int:
    """Return the bound of an answer; of several the highest, for who knows which of them its provider goes by."""
    told: list[Any] = [body.get(name) for name in OUTPUT_BOUNDS.get(shape, ())]
    sound = (value for value in told if isinstance(value, int) and not isinstance(value, bool) and value > 0)
    return max(sound, default=OUTPUT_GUESS)


def _choices(body: Envelope) -> int:
    value: Any = body.get("n")
    return min(value, 128) if isinstance(value, int) and value > 0 else 1
