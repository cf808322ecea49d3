"""Calls are held to their limits: reserved before, settled after, never credited for what isn't known."""

import json
from itertools import count
from types import SimpleNamespace
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.protocol.errors import Problem, RelayError
from app.protocol.limit import INPUT_MOST, OUTPUT_BOUNDS, Measure, Rule
from app.protocol.price import Price, Rates, Tariff, Tier, at, cost
from app.protocol.record import End
from app.protocol.usage import UNKNOWN, Usage, from_object, tier_of
from app.services import limits as module
from app.services.counters import Counters
from app.services.limits import OUTPUT_GUESS, Limits
from app.services.snapshot import EMPTY, ModelEntry
from tests.services.writing import record

numbers = count(1)
DOLLAR = 1_000_000_000
NOON = 1_800_014_400.0
PRICE = Price(1, 0.0, Tariff(Rates(input=2 * DOLLAR, output=10 * DOLLAR)))  # 2,000 and 10,000 nano-dollars a token
CHAT = {"responses.create": {"input": "hi"}, "chat.create": {"messages": []}, "messages.create": {"max_tokens": 10}}


class Nothing:
    """Nobody has spent anything, or what a test says."""

    def __init__(self, spent=0):
        self.spent = spent

    def under(self, rule, span):
        return lambda: self.spent

    def in_conversation(self, user_id, key):
        return lambda: self.spent


def rule(measure, most, *, scope="user", model=""):
    return Rule(scope, 1, measure, most, model)


def limits_of(*rules, spent=0, prices=(PRICE,), model_rules=()):
    entry = ModelEntry("m", "", 0, (), prices, model_rules)
    directory = SimpleNamespace(snapshot=msgspec.structs.replace(EMPTY, models={"m": entry}))
    limits = Limits(directory, Counters(), Nothing(spent))
    return limits, Caller(1, 1, "mark", rules=rules)


def call_of(caller, *, endpoint="responses.create", model="m", stores=False, **body):
    raw = json.dumps({"model": model, "input": "x"} | body).encode()
    return Call(
        id=f"{next(numbers):032x}",
        request_id="r",
        endpoint=BY_NAME[endpoint],
        caller=caller,
        body=parse(raw),
        model=model,
        stores=stores,
    )


def settle(limits, call, *, usage=UNKNOWN, cost=None, end=End.COMPLETED):
    limits.settle(record(0, id=call.id, usage=usage, cost=cost, end=end))


def refused(limits, call, conversation=""):
    with pytest.raises(RelayError) as error:
        limits.acquire(call, conversation)
    return error.value


def used(limits):
    return {key.split(":")[2]: n for key, n in limits._counters._used.items()}


def test_who_has_no_limits_is_not_counted():
    limits, caller = limits_of()
    assert limits.acquire(call_of(caller)).headers == []
    assert (limits.held, used(limits)) == (0, {})


@pytest.mark.acceptance("K-1")
@pytest.mark.parametrize("measure", [Measure.REQUESTS, Measure.CONCURRENT])
def test_exactly_as_many_calls_as_allowed_are_admitted(measure):
    limits, caller = limits_of(rule(measure, 3))
    calls = [call_of(caller) for _ in range(3)]
    for call in calls:
        limits.acquire(call)
    error = refused(limits, call_of(caller))
    assert (error.problem, error.code, error.headers) == (Problem.RATE_LIMITED, "rate_limit_exceeded", ())
    assert "limit of 3 requests" in error.message
    assert "3 are used" in error.message
    assert 1 <= error.retry_after <= 61
    settle(limits, calls[0])
    if measure is Measure.CONCURRENT:
        limits.acquire(call_of(caller))
    refused(limits, call_of(caller))


def test_a_call_is_settled_once():
    limits, caller = limits_of(rule(Measure.CONCURRENT, 5))
    call = call_of(caller)
    limits.acquire(call)
    for _ in range(3):
        settle(limits, call)
    assert (limits.held, used(limits)) == (0, {"concurrent": 0})


def test_tokens_are_reserved_by_size_and_bound_and_settled_by_use():
    limits, caller = limits_of(rule(Measure.TOKENS, 10_000))
    call = call_of(caller, max_output_tokens=2000, input="x" * 4000)
    limits.acquire(call)
    assert used(limits)["tokens_minute"] == 2000 + len(call.body.body) // 4
    settle(limits, call, usage=from_object({"input_tokens": 900, "output_tokens": 50}), cost=1)
    assert used(limits)["tokens_minute"] == 950
    error = refused(limits, call_of(caller, max_output_tokens=9500))
    assert "tokens per minute" in error.message
    assert "may need 9,5" in error.message


@pytest.mark.parametrize(
    ("body", "output"),
    [
        ({}, OUTPUT_GUESS),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": -1}, OUTPUT_GUESS),
        ({"max_tokens": "7"}, OUTPUT_GUESS),
        ({"max_tokens": True}, OUTPUT_GUESS),
        ({"max_tokens": 7, "n": -4}, 7),
        ({"max_completion_tokens": 8, "max_tokens": 900}, 900),
        ({"max_output_tokens": 1}, OUTPUT_GUESS),
    ],
)
def test_the_bound_that_a_caller_sets_is_what_is_reserved(body, output):
    limits, caller = limits_of(rule(Measure.TOKENS, 10**9))
    call = call_of(caller, endpoint="chat.create", **body)
    limits.acquire(call)
    assert used(limits)["tokens_minute"] == output + len(call.body.body) // 4


def test_pictures_in_a_request_are_many_bytes_and_few_tokens():
    limits, caller = limits_of(rule(Measure.TOKENS, 10**9))
    limits.acquire(call_of(caller, input="x" * 5_000_000, max_output_tokens=1))
    assert used(limits)["tokens_minute"] == INPUT_MOST + 1


def test_a_call_that_is_larger_than_its_limit_goes_alone():
    limits, caller = limits_of(rule(Measure.TOKENS, 100))
    first = call_of(caller, max_output_tokens=5000)
    limits.acquire(first)
    refused(limits, call_of(caller, max_output_tokens=1))


@pytest.mark.acceptance("K-2")
def test_money_never_passes_the_limit_by_more_than_was_reserved():
    """200 calls at once, each of at most 20 cents, money for 10 of them."""
    limits, caller = limits_of(rule(Measure.DAY, 2 * DOLLAR))
    admitted = []
    for _ in range(200):
        call = call_of(caller, max_output_tokens=19_990, input="")
        try:
            limits.acquire(call)
        except RelayError as error:
            assert error.problem is Problem.INSUFFICIENT_QUOTA
        else:
            admitted.append(call)
    assert len(admitted) == 10
    for call in admitted:
        settle(limits, call, usage=from_object({"input_tokens": 5, "output_tokens": 19_990}), cost=199_910_000)
    assert used(limits)["money_day"] == 1_999_100_000


@pytest.mark.parametrize("measure", [measure for measure in Measure if measure.is_money])
def test_every_limit_of_money_counts_from_what_was_spent(measure):
    limits, caller = limits_of(rule(measure, 5 * DOLLAR), spent=5 * DOLLAR - 1)
    error = refused(limits, call_of(caller), "c" * 32)
    assert error.code == "insufficient_quota"
    assert "$5.00" in error.message
    assert error.headers == (("x-should-retry", "false"),)
    assert (error.retry_after is None) == (measure in {Measure.TOTAL, Measure.CONVERSATION})
    assert "resets at" in error.message or error.retry_after is None


def test_what_a_call_cost_is_what_it_used_and_what_is_not_known_stays_reserved():
    limits, caller = limits_of(rule(Measure.DAY, 100 * DOLLAR), rule(Measure.TOKENS, 10**9))
    known, unknown, failed = (call_of(caller, max_output_tokens=1000, input="") for _ in range(3))
    for call in (known, unknown, failed):
        limits.acquire(call)
    reserved = used(limits)["money_day"] // 3
    assert reserved > 10_000_000
    settle(limits, known, usage=from_object({"input_tokens": 1, "output_tokens": 1}), cost=12_000)
    settle(limits, unknown)
    settle(limits, failed, cost=0, end=End.REFUSED)
    assert used(limits)["money_day"] == reserved + 12_000


GUESSED = UNKNOWN.at_least(input=1, output=1)


@pytest.mark.parametrize(("usage", "cost"), [(UNKNOWN, None), (GUESSED, 12_000)], ids=["pending", "left"])
def test_what_was_not_known_at_first_is_counted_once_it_is(usage, cost):
    limits, caller = limits_of(*[rule(measure, 100 * DOLLAR) for measure in Measure if measure.is_money])
    call = call_of(caller, stores=True)
    limits.acquire(call, "c" * 32)
    reserved = used(limits)["money_day"]
    settle(limits, call, usage=usage, cost=cost, end=End.PENDING)
    assert set(used(limits).values()) == {reserved if cost is None else cost}
    limits.complete(record(0, id=call.id, usage=GUESSED))  # its model has no price any more
    assert set(used(limits).values()) == {reserved if cost is None else cost}
    limits.complete(record(0, id=call.id, usage=GUESSED, cost=7))
    assert set(used(limits).values()) == {7}


def test_of_what_is_known_or_kept_nowhere_nothing_is_corrected_later():
    limits, caller = limits_of(rule(Measure.DAY, 100 * DOLLAR))
    told, kept_nowhere = call_of(caller, stores=True), call_of(caller)
    for call in (told, kept_nowhere):
        limits.acquire(call)
    settle(limits, told, usage=from_object({"input_tokens": 1, "output_tokens": 1}), cost=12_000)
    settle(limits, kept_nowhere, usage=GUESSED, cost=12_000)
    for call in (told, kept_nowhere):
        limits.complete(record(0, id=call.id, cost=1))
    assert used(limits)["money_day"] == 24_000


@pytest.mark.parametrize(("prices", "body"), [((), {}), ((PRICE,), {"service_tier": "priority"})])
def test_what_has_no_price_can_not_be_used_under_a_limit_of_money(prices, body):
    limits, caller = limits_of(rule(Measure.DAY, 100 * DOLLAR), prices=prices)
    error = refused(limits, call_of(caller, **body))
    assert (error.problem, error.param) == (Problem.INSUFFICIENT_QUOTA, "model")
    assert "no price" in error.message


def test_a_rule_for_one_model_leaves_others_alone():
    limits, caller = limits_of(rule(Measure.REQUESTS, 1, model="n"))
    limits.acquire(call_of(caller))
    limits.acquire(call_of(caller, model="n"))
    limits.acquire(call_of(caller))
    error = refused(limits, call_of(caller, model="n"))
    assert "on n" in error.message


def test_a_models_own_limit_is_everybodys_together():
    limits, caller = limits_of(model_rules=(rule(Measure.REQUESTS, 2, scope="model", model="m"),))
    limits.acquire(call_of(caller))
    limits.acquire(call_of(Caller(2, 2, "other")))
    assert "This model's limit" in refused(limits, call_of(Caller(3, 3, "third"))).message


def test_the_tightest_of_several_limits_holds_and_takes_nothing_of_the_others():
    limits, caller = limits_of(rule(Measure.REQUESTS, 10), rule(Measure.REQUESTS, 1, scope="token"))
    limits.acquire(call_of(caller))
    assert "This token's" in refused(limits, call_of(caller)).message
    assert sorted(limits._counters._used.values()) == [1, 1]


def test_reads_and_counts_of_tokens_are_requests_and_cost_nothing():
    limits, caller = limits_of(*[rule(measure, 10**12) for measure in Measure])
    limits.acquire(call_of(caller, endpoint="responses.retrieve", model=""))
    assert used(limits) == {"requests_minute": 1}
    limits.acquire(call_of(caller, endpoint="messages.count_tokens"))
    assert used(limits) == {"requests_minute": 2, "concurrent": 1}


def test_conversations_that_nobody_goes_on_with_are_forgotten_and_asked_for_again(monkeypatch):
    """A client may name a new one with every call."""
    monkeypatch.setattr("app.services.plans.CONVERSATIONS_MAX", 10)
    limits, caller = limits_of(rule(Measure.CONVERSATION, DOLLAR), spent=5)
    runs = call_of(caller)
    limits.acquire(runs, "a" * 32)
    for n in range(100):
        call = call_of(caller)
        limits.acquire(call, f"{n:032x}")
        settle(limits, call, cost=7)
    counts = limits._counters._used
    assert len(counts) <= 11
    assert list(counts.values())[-1] == 12
    settle(limits, runs, cost=7)
    assert counts[f"{caller.rules[0].key}:{'a' * 32}"] == 12
    limits.acquire(call_of(caller), f"{0:032x}")
    assert counts[f"{caller.rules[0].key}:{0:032x}"] > 5


def test_a_limit_on_conversations_counts_each_alone():
    limits, caller = limits_of(rule(Measure.CONVERSATION, DOLLAR // 10))
    bound = {"max_output_tokens": 9000, "input": ""}
    limits.acquire(call_of(caller, **bound), "a" * 32)
    limits.acquire(call_of(caller, **bound), "b" * 32)
    limits.acquire(call_of(caller, **bound))
    assert "for one conversation" in refused(limits, call_of(caller, **bound), "a" * 32).message


def test_a_database_that_can_not_say_what_was_spent_is_503():
    limits, caller = limits_of(rule(Measure.DAY, DOLLAR))
    limits._plans._spent = SimpleNamespace(under=lambda *_: _away)
    assert refused(limits, call_of(caller)).problem is Problem.OVERLOADED


def _away():
    raise OSError("away")


@pytest.mark.parametrize(
    ("endpoint", "names"),
    [
        ("chat.create", ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]),
        (
            "messages.create",
            [
                "anthropic-ratelimit-requests-limit",
                "anthropic-ratelimit-requests-remaining",
                "anthropic-ratelimit-requests-reset",
            ],
        ),
    ],
)
def test_every_answer_says_what_is_left_of_the_tightest_limit(endpoint, names):
    limits, caller = limits_of(rule(Measure.REQUESTS, 10), rule(Measure.REQUESTS, 4, scope="token"))
    headers = limits.acquire(call_of(caller, endpoint=endpoint)).headers
    assert [name for name, _ in headers] == names
    assert [value for _, value in headers[:2]] == ["4", "3"]
    assert headers[2][1].endswith("Z" if endpoint == "messages.create" else "s")


@pytest.mark.parametrize(("endpoint", "status"), [("chat.create", 429), ("messages.create", 402)])
def test_no_money_is_told_as_each_protocol_does(endpoint, status):
    limits, caller = limits_of(rule(Measure.TOTAL, 0))
    call = call_of(caller, endpoint=endpoint)
    assert refused(limits, call).status(call.endpoint.protocol) == status


RATE = st.sampled_from([0, 3, 500_001, 1_250_000_000, 9_999_999_999_999, None])
RATES = st.builds(Rates, input=RATE, output=RATE, audio_input=RATE)
TIER = st.builds(Tier, st.sampled_from([10, INPUT_MOST - 1, INPUT_MOST]), RATES)
TARIFFS = st.builds(Tariff, RATES, st.lists(TIER, max_size=2).map(lambda t: tuple(sorted(t, key=lambda t: t.above))))
SERVICES = st.dictionaries(st.sampled_from(["priority", "flex"]), TARIFFS)
SINCE = st.sampled_from([NOON - 100, NOON - 50, NOON, NOON + 30, NOON + 60])
PRICES = st.lists(st.builds(Price, st.just(1), SINCE, TARIFFS, SERVICES), max_size=3)
NUMBERS = st.none() | st.booleans() | st.integers(-3, 10**6) | st.just("7") | st.just(1.5)
BODIES = st.fixed_dictionaries(
    {"input": st.sampled_from(["", "x" * 50, "x" * 1000, "x" * (4 * INPUT_MOST + 9)])},
    optional=dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens", "n"), NUMBERS)
    | {"service_tier": st.sampled_from(["priority", "flex", "auto", "other", 5])},
)


def estimated(call, prices, now):
    """What a call may use and cost at most, by the plain definition; None where nobody knows its price."""
    body = call.body
    told = [body.get(name) for name in OUTPUT_BOUNDS[call.endpoint.shape]]
    output = max([n for n in told if isinstance(n, int) and not isinstance(n, bool) and n > 0], default=OUTPUT_GUESS)
    choices = body.get("n")
    if isinstance(choices, int) and choices > 0:
        output *= min(choices, 128)
    read = min(body.size // 4, INPUT_MOST)
    guess = Usage(input=read, output=output, service_tier=tier_of(body.get("service_tier")))
    price = at(prices, now)
    rates = price.rates(guess) if price is not None else None
    return read + output, cost(rates, guess) if rates is not None else None


@settings(max_examples=500)
@given(PRICES, st.lists(st.tuples(st.floats(0, 59.5), st.sampled_from(sorted(CHAT)), BODIES), min_size=1, max_size=4))
def test_what_is_reserved_is_what_a_call_would_cost_by_its_price_of_that_second(prices, asked):
    prices = tuple(sorted(prices, key=lambda price: -price.valid_from))
    limits, caller = limits_of(rule(Measure.TOKENS, 10**30), rule(Measure.DAY, 10**30), prices=prices)
    for second, endpoint, body in asked:
        call, now = call_of(caller, endpoint=endpoint, **body), NOON + second
        with patch.object(module, "time", SimpleNamespace(time_ns=lambda now=now: int(now * 1e9))):
            tokens, paid = estimated(call, prices, int(now * 1e9) / 1e9)
            if paid is None:
                assert "no price" in refused(limits, call).message
            else:
                assert [amount for _, amount in limits.acquire(call).wants] == [tokens, paid]
