"""What calls are held to is found once a minute for all that are alike, and anew as soon as their limits change."""

from types import SimpleNamespace

import msgspec
import pytest

from app.protocol.errors import RelayError
from app.protocol.limit import Measure
from app.protocol.price import Price, Rates, Tariff
from app.services import limits as clocked
from app.services import plans as module
from app.services.counters import Counters
from app.services.plans import Plans
from tests.services.test_limits import DOLLAR, NOON, PRICE, Nothing, call_of, limits_of, rule, settle, used

TALK = "a" * 32


def plans_of():
    return Plans(Counters(), Nothing())


def calls_of(*rules, **more):
    limits, caller = limits_of(*rules, **more)
    return limits, lambda *changed, **body: call_of(
        msgspec.structs.replace(caller, rules=changed or rules), max_output_tokens=1000, **body
    )


def test_calls_that_are_alike_have_one_plan_for_a_minute():
    plans, rules = plans_of(), tuple(rule(measure, 10) for measure in Measure)
    _, call = calls_of(*rules)
    first = plans.of(call(), rules, (), "", NOON)
    assert plans.of(call(), rules, (), "", NOON + 59.9) is first
    others = [plans.of(call(model="n"), rules, (), "", NOON), plans.of(call(), rules, (), TALK, NOON)]
    others.append(plans.of(call(), rules, (), "", NOON + 60))
    assert all(other is not first for other in others)
    keys = [{count.rule.measure: count.key for count in plan.counts} for plan in (first, others[2])]
    assert {measure for measure in keys[0] if keys[0][measure] != keys[1][measure]} == {
        Measure.REQUESTS,
        Measure.TOKENS,
    }


def test_the_order_of_limits_is_kept_where_each_conversation_has_its_own():
    plans, rules = plans_of(), tuple(rule(measure, 10) for measure in reversed(Measure))
    _, call = calls_of(*rules)
    plan = plans.of(call(), rules, (), TALK, NOON)
    counts = plans.counts(plan, call(), TALK)
    assert [count.rule for count in counts] == list(rules)
    assert counts[0].key.endswith(TALK)
    assert plans.counts(plan, call(), "b" * 32)[1:] == counts[1:]


def test_many_plans_and_conversations_are_not_kept_for_ever(monkeypatch):
    monkeypatch.setattr(module, "PLANS_MAX", 5)
    monkeypatch.setattr(module, "CONVERSATIONS_MAX", 5)
    plans, rules = plans_of(), (rule(Measure.CONVERSATION, DOLLAR),)
    _, call = calls_of(*rules)
    for n in range(20):
        one = call(model=f"m{n}")
        plans.counts(plans.of(one, rules, (), TALK, NOON), one, f"{n:032x}")
    assert len(plans._plans) <= 5
    assert len(plans._counts) <= 6


def test_a_plan_ends_with_the_prices_that_it_was_made_with():
    plans, rules, prices = plans_of(), (rule(Measure.DAY, DOLLAR),), (PRICE,)
    _, call = calls_of(*rules)
    first = plans.of(call(), rules, prices, "", NOON)
    assert plans.of(call(), rules, prices, "", NOON) is first
    dearer = Price(2, 0.0, Tariff(Rates(input=3 * DOLLAR, output=20 * DOLLAR)))
    assert first.flat == (2 * DOLLAR, 10 * DOLLAR)
    assert plans.of(call(), rules, (dearer, *prices), "", NOON).flat == (3 * DOLLAR, 20 * DOLLAR)


@pytest.mark.parametrize(("measure", "talk"), [(Measure.DAY, ""), (Measure.CONVERSATION, TALK)])
def test_a_limit_that_is_changed_holds_for_the_next_call_and_counts_on(measure, talk):
    limits, call = calls_of(rule(measure, 2 * DOLLAR))
    runs = call()
    limits.acquire(runs, talk)
    with pytest.raises(RelayError, match=r"\$0\.01"):
        limits.acquire(call(rule(measure, DOLLAR // 100)), talk)
    limits.acquire(call(), talk)
    settle(limits, runs, cost=5)
    limits.acquire(call(rule(measure, DOLLAR)), talk)
    reserved = 10_000_000 + 2000 * (len(runs.body.body) // 4)
    assert used(limits) == {measure.value: 5 + 2 * reserved}


def test_a_limit_that_is_counted_anew_has_another_count_which_a_call_under_the_old_one_leaves_alone():
    old = rule(Measure.TOTAL, DOLLAR)
    limits, call = calls_of(old)
    runs = call()
    limits.acquire(runs)
    anew = msgspec.structs.replace(old, counted_as="00000001abcdefab")
    mine = call(anew)
    limits.acquire(mine)
    for each in (runs, mine):
        settle(limits, each, cost=7)
    assert list(limits._counters._used.values()) == [7, 7]


def test_a_call_that_runs_on_into_the_next_minute_changes_nothing_there(monkeypatch):
    now = [NOON + 0.5]
    monkeypatch.setattr(clocked, "time", SimpleNamespace(time_ns=lambda: int(now[0] * 1e9)))
    limits, call = calls_of(rule(Measure.TOKENS, 10**6), rule(Measure.CONCURRENT, 5), rule(Measure.REQUESTS, 5))
    runs = call()
    assert ("x-ratelimit-reset-tokens", "60s") in limits.acquire(runs).headers
    now[0] += 60
    assert ("x-ratelimit-reset-tokens", "60s") in limits.acquire(call()).headers
    before = used(limits)
    settle(limits, runs, cost=1)
    assert used(limits) == before | {"concurrent": 1}
    assert len(limits._counters._used) == 3
