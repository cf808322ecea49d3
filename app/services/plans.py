"""What calls are counted under: found once a minute for all that are alike, so that little is left for each of them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from app.protocol.call import Call
from app.protocol.endpoints import Kind
from app.protocol.limit import INPUT_MOST, Measure, Rule, Span, spans
from app.protocol.price import Price, flat
from app.services.counters import Beginning, Begun, Count, Counters
from app.services.notices import Rate, rates
from app.services.spent import Spent

PLANS_MAX = 10_000
CONVERSATIONS_MAX = 10_000
"""So many conversations are counted at once in this process; what any other has cost is asked for again."""


class Plan(msgspec.Struct, frozen=True):
    """What calls that are alike are held to."""

    rules: tuple[Rule, ...]
    """All that there are for them, those as well that don't apply."""
    counts: list[Count]
    talks: list[int]
    """The places of those that each conversation has its own of."""
    rates: list[Rate]
    dearest: int
    """The highest unit of all."""
    prices: tuple[Price, ...]
    """All that the model has."""
    flat: tuple[int, int] | None
    """What they come to in this minute, see ``price.flat``."""
    young: list[str]
    """The keys of those of money that may begin while such calls run."""


class Plans:
    """All plans of one minute."""

    def __init__(self, counters: Counters, spent: Spent) -> None:
        self._counters = counters
        self._spent = spent
        self._spans: dict[Measure, Span] = {}
        self._plans: dict[tuple[int, str, str, bool], Plan] = {}
        """By token, model, endpoint, and whether there is a conversation."""
        self._counts: dict[str, Count] = {}
        """By their keys."""
        self._conversations: OrderedDict[str, None] = OrderedDict()
        """What conversations are counted under, the last heard of last."""
        self._until = 0.0

    def of(self, call: Call, rules: tuple[Rule, ...], prices: tuple[Price, ...], conversation: str, now: float) -> Plan:
        """Return the plan for a call.

        ``rules`` are all that there are for its user, its token and its model, ``prices`` all of the model.
        """
        if not self._until - 60 <= now < self._until:
            self._turn(now)
        alike = call.caller.token_id, call.model, call.endpoint.name, bool(conversation)
        plan = self._plans.get(alike)
        if plan is None or plan.prices is not prices or plan.rules != rules:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            plan = self._plans[alike] = self._plan(call, rules, prices, conversation)
        return plan

    def counts(self, plan: Plan, call: Call, conversation: str) -> list[Count]:
        """Return what a call is counted under, in the order of its plan."""
        if not plan.talks:
            return plan.counts
        counts = plan.counts.copy()
        for place in plan.talks:
            rule = counts[place].rule
            key = f"{rule.key}:{conversation}"
            counts[place] = self._count(rule, key, call.caller.user_id, conversation)
            self._heard_of(key)
        return counts

    def _turn(self, now: float) -> None:
        """Begin another minute."""
        self._spans, self._until = spans(now), now // 60 * 60 + 60
        self._counts.clear()
        self._plans.clear()
        self._counters.sweep(now)

    def _plan(self, call: Call, rules: tuple[Rule, ...], prices: tuple[Price, ...], conversation: str) -> Plan:
        applying = [rule for rule in rules if rule.covers(call.model) and applies(call, rule.measure, conversation)]
        counts = [self._count(rule, f"{rule.key}:{self._spans[rule.measure].start}") for rule in applying]
        return Plan(
            rules,
            counts,
            talks=[place for place, rule in enumerate(applying) if rule.measure is Measure.CONVERSATION],
            rates=rates(counts, call.endpoint.protocol),
            dearest=max([rule.unit for rule in applying], default=0),
            prices=prices,
            flat=flat(prices, self._until - 60, self._until, most=INPUT_MOST),
            young=may_begin(counts),
        )

    def _count(self, rule: Rule, key: str, user_id: int = 0, conversation: str = "") -> Count:
        count = self._counts.get(key)
        if count is None or count.rule != rule:
            span = self._spans[rule.measure]
            base = self._base(Begun(rule, key, span, conversation), user_id)
            count = self._counts[key] = Count(rule, key, span, base)
        return count

    def _base(self, begun: Begun, user_id: int) -> Callable[[], int] | None:
        spent = None
        if begun.conversation:
            spent = self._spent.in_conversation(user_id, begun.conversation)
        elif begun.rule.money:
            spent = self._spent.under(begun.rule, begun.span)
        return Beginning(begun, spent) if begun.rule.is_young(self._until) else spent

    def _heard_of(self, key: str) -> None:
        """Take note of a conversation; of too many the one goes that was not heard of for longest, if none of it runs.

        Clients name them as they like, and they have no end after which they would be forgotten.
        """
        known, looked = self._conversations, 0
        known[key] = None
        known.move_to_end(key)
        while len(known) > CONVERSATIONS_MAX and looked < 2:  # one more goes where one had to stay
            oldest, _ = known.popitem(last=False)
            looked += 1
            if self._counters.reserved(oldest):
                known[oldest] = None
            else:
                self._counters.forget(oldest)
                self._counts.pop(oldest, None)


def may_begin(counts: list[Count]) -> list[str]:
    """Return the keys of those of money that may begin while calls run that are counted so."""
    return [count.key for count in counts if count.rule.money and count.may_begin]


def applies(call: Call, measure: Measure, conversation: str) -> bool:
    """Whether a call counts for a measure: reads of stored objects are requests, and what costs nothing is no money."""
    if measure is Measure.REQUESTS:
        return True
    if measure is Measure.CONVERSATION and not conversation:
        return False
    kind = call.endpoint.kind
    pays = kind is Kind.CREATE or (kind is Kind.TOOL and measure is Measure.CONCURRENT)
    return pays and call.endpoint.needs_model
