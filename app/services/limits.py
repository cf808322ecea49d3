"""Holds every call to the limits of its user, its token and its model: room is reserved before, settled after.

A reservation is an estimate (the size of the request, and the most that may be written); settling brings it to what
was used. What can't be known is never credited: a call of unknown cost keeps what it reserved.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from app.protocol.call import Call
from app.protocol.endpoints import Kind
from app.protocol.errors import Problem, RelayError
from app.protocol.limit import OUTPUT_BOUNDS, Measure, Rule, Span, counted, spans
from app.protocol.price import Price, at, cost
from app.protocol.record import Record
from app.protocol.usage import Usage, UsageState, tier_of, tokens_of
from app.services.counters import Beginning, Begun, Counters, Full, Want
from app.services.directory import Directory
from app.services.notices import headers, refusal
from app.services.spent import Spent

INPUT_MOST = 200_000
"""Tokens that a request is estimated at, at most: pictures in it are many bytes and few tokens."""
OUTPUT_GUESS = 4096
"""Tokens that an answer is estimated at where the caller sets no bound."""
CHOSEN_MAX = 10_000
PAID_MAX = 5_000
"""So many calls that ended are remembered: more than wait for their commit while the database answers."""
CONVERSATIONS_MAX = 10_000
"""So many conversations are counted at once in this process; what any other has cost is asked for again."""
PER_CALL = frozenset({Kind.CREATE, Kind.TOOL})
_NOTHING: list[tuple[str, str]] = []


class Ticket(msgspec.Struct):
    """Room that a call has taken; ``headers`` tell its caller what is left."""

    headers: list[tuple[str, str]]
    wants: list[Want]


NO_LIMITS = Ticket(_NOTHING, [])


class Limits:
    """Admits calls. One serves a whole worker."""

    def __init__(self, directory: Directory, counters: Counters, spent: Spent) -> None:
        self._directory = directory
        self._counters = counters
        self._spent = spent
        self._tickets: dict[str, Ticket] = {}
        self._spans: dict[Measure, Span] = {}
        self._counted: dict[str, tuple[str, Span, Callable[[], int] | None]] = {}
        """By a rule's key: what is counted under in this minute, over which span, and how what was spent is asked."""
        self._chosen: dict[tuple[int, str, str, bool], tuple[tuple[Rule, ...], tuple[Rule, ...]]] = {}
        """By token, model, endpoint, and whether there is a conversation: all rules, and those that apply."""
        self._paid: dict[str, list[str]] = {}
        """What of young limits the last calls to end were counted under, by their ids."""
        self._conversations: OrderedDict[str, None] = OrderedDict()
        """What conversations are counted under, the last heard of last."""
        self._until = 0.0
        counters.reserved = self._reserved

    def acquire(self, call: Call, conversation: str = "") -> Ticket:
        """Return the room for a call. Raises ``RelayError``: 429, on Messages 402 for money; 503 if nobody can tell."""
        model = self._directory.snapshot.model(call.model) if call.model else None
        rules = call.caller.rules + (model.rules if model is not None else ())
        if not rules:
            return NO_LIMITS
        now = time.time_ns() / 1e9
        if not self._until - 60 <= now < self._until:
            self._turn(now)
        rules = self._applying(call, rules, conversation)
        prices = model.prices if model is not None else ()
        wants = self._wants(call, rules, conversation=conversation, prices=prices, now=now)
        try:
            used = self._counters.take(call.id, wants)
        except Full as full:
            raise refusal(full, now) from None
        except (SQLAlchemyError, OSError):
            message = "Realms can't check the limits of this token now; try again later."
            raise RelayError(Problem.OVERLOADED, message, retry_after=5) from None
        ticket = Ticket(headers(wants, used, protocol=call.endpoint.protocol, now=now), wants)
        if call.endpoint.kind in PER_CALL:
            self._tickets[call.id] = ticket
        return ticket

    def settle(self, record: Record) -> None:
        """Bring what a call had reserved to what it used; a call without reservations changes nothing."""
        ticket = self._tickets.pop(record.id, None)
        if ticket is None:
            return
        known = record.usage.state is not UsageState.UNKNOWN or record.cost is not None
        tokens = counted(record.usage) if known else None
        settled = []
        for want in ticket.wants:
            used = record.cost
            if not want.rule.money:
                measure = want.rule.measure
                if measure is Measure.REQUESTS:
                    continue
                used = 0 if measure is Measure.CONCURRENT else tokens
            settled.append((want, want.amount if used is None else used))  # what isn't known stays reserved
        self._remember(record.id, ticket)
        self._counters.give(record.id, settled)

    def _remember(self, call_id: str, ticket: Ticket) -> None:
        if keys := [want.key for want in ticket.wants if want.rule.money and _may_begin(want)]:
            self._paid[call_id] = keys
            if len(self._paid) > PAID_MAX:
                del self._paid[next(iter(self._paid))]

    def has_counted(self, call_id: str, key: str) -> bool:
        """Return whether a call that ended just now was counted there."""
        return key in self._paid.get(call_id, ())

    def reserve(self, call: Call, begun: Begun) -> Want | None:
        """Return the room that a call takes which runs as a count begins; None where it counts nothing there."""
        rule = begun.rule
        ticket = self._tickets.get(call.id) or Ticket(_NOTHING, [])
        known = any(want.rule.key == rule.key for want in ticket.wants)
        if known or not _counts(call, rule.measure, begun.conversation):
            return None
        amount = 1
        if rule.money:
            model = self._directory.snapshot.model(call.model)
            with suppress(RelayError):
                amount = _money(call, _estimate(call), model.prices if model is not None else (), time.time_ns() / 1e9)
        want = Want(rule, begun.key, begun.span, min(amount, max(1, rule.most)))
        ticket.wants.append(want)
        self._tickets[call.id] = ticket
        return want

    @property
    def held(self) -> int:
        """How many calls hold reservations."""
        return len(self._tickets)

    def _reserved(self, key: str) -> int:
        return sum(want.amount for ticket in self._tickets.values() for want in ticket.wants if want.key == key)

    def _turn(self, now: float) -> None:
        """Begin another minute."""
        self._spans, self._until = spans(now), now // 60 * 60 + 60
        self._counted.clear()
        self._chosen.clear()
        self._counters.sweep(now)

    def _applying(self, call: Call, rules: tuple[Rule, ...], conversation: str) -> tuple[Rule, ...]:
        """Return those of the rules that a call falls under; the same calls come again and again."""
        alike = call.caller.token_id, call.model, call.endpoint.name, bool(conversation)
        chosen = self._chosen.get(alike)
        if chosen is None or chosen[0] != rules:
            applying = [rule for rule in rules if rule.covers(call.model) and _counts(call, rule.measure, conversation)]
            if len(self._chosen) >= CHOSEN_MAX:
                self._chosen.clear()
            chosen = self._chosen[alike] = rules, tuple(applying)
        return chosen[1]

    def _wants(
        self, call: Call, rules: tuple[Rule, ...], *, conversation: str, prices: tuple[Price, ...], now: float
    ) -> list[Want]:
        guess: Usage | None = None
        paid: int | None = None
        wants = []
        for rule in rules:
            amount = 1
            if rule.money:
                guess = guess or _estimate(call)
                amount = paid = _money(call, guess, prices, now) if paid is None else paid
            elif rule.measure is Measure.TOKENS:
                guess = guess or _estimate(call)
                amount = counted(guess)
            if amount > rule.most:
                amount = max(1, rule.most)  # what is larger than its limit may still go alone
            if (known := self._counted.get(rule.key)) is not None:
                wants.append(Want(rule, known[0], known[1], amount, known[2]))
            else:
                wants.append(self._want(call, rule, amount=amount, conversation=conversation))
        return wants

    def _want(self, call: Call, rule: Rule, *, amount: int, conversation: str) -> Want:
        if rule.measure is Measure.CONVERSATION:
            cost = self._spent.in_conversation(call.caller.user_id, conversation)
            begun = Begun(rule, f"{rule.key}:{conversation}", self._spans[rule.measure], conversation)
            self._heard_of(begun.key)
            return Want(rule, begun.key, begun.span, amount, self._base(begun, cost))
        span = self._spans[rule.measure]
        begun = Begun(rule, f"{rule.key}:{span.start}", span)
        spent = self._base(begun, self._spent.under(rule, span) if rule.money else None)
        self._counted[rule.key] = begun.key, span, spent
        return Want(rule, begun.key, span, amount, spent)

    def _heard_of(self, key: str) -> None:
        """Take note of a conversation; of too many the one goes that was not heard of for longest, if none of it runs.

        Clients name them as they like, and they have no end after which they would be forgotten.
        """
        known = self._conversations
        known[key] = None
        known.move_to_end(key)
        for _ in range(2):  # one more goes where one had to stay
            if len(known) <= CONVERSATIONS_MAX:
                return
            oldest, _none = known.popitem(last=False)
            if self._reserved(oldest):
                known[oldest] = None
            else:
                self._counters.forget(oldest)

    def _base(self, begun: Begun, spent: Callable[[], int] | None) -> Callable[[], int] | None:
        if not begun.rule.is_young(self._until):
            return spent
        return Beginning(begun, spent) if spent is not None else Beginning(begun)


def _money(call: Call, guess: Usage, prices: tuple[Price, ...], now: float) -> int:
    price = at(prices, now)
    rates = price.rates(guess) if price is not None else None
    paid = cost(rates, guess) if rates is not None else None
    if paid is None:
        message = f"The model '{call.model[:200]}' has no price, so it can't be used under a limit of money."
        raise RelayError(Problem.INSUFFICIENT_QUOTA, message, param="model")
    return paid


def _may_begin(want: Want) -> bool:
    """Whether a count of it may begin while calls are under way; one that was brought in has no base of its own."""
    return want.base is None or isinstance(want.base, Beginning)


def _counts(call: Call, measure: Measure, conversation: str) -> bool:
    """Whether a call counts for a measure: reads of stored objects are requests, and what costs nothing is no money."""
    if measure is Measure.REQUESTS:
        return True
    if measure is Measure.CONVERSATION and not conversation:
        return False
    kind = call.endpoint.kind
    pays = kind is Kind.CREATE or (kind is Kind.TOOL and measure is Measure.CONCURRENT)
    return pays and call.endpoint.needs_model


def _estimate(call: Call) -> Usage:
    """Return what a call may use at most, roughly."""
    body = call.body
    size = 0 if body is None else body.size
    return Usage(
        state=UsageState.ESTIMATED,
        input=min(tokens_of(size), INPUT_MOST),
        output=_bound(call) * _choices(call),
        service_tier=tier_of(call.body.get("service_tier")) if call.body is not None else "",
    )


def _bound(call: Call) -> int:
    for name in OUTPUT_BOUNDS:
        value: Any = call.body.get(name) if call.body is not None else None
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return OUTPUT_GUESS


def _choices(call: Call) -> int:
    value: Any = call.body.get("n") if call.body is not None else None
    return min(value, 128) if isinstance(value, int) and value > 0 else 1
