"""What is under way when a count begins holds room in it, and what has just ended is in it, each call once."""

from contextlib import nullcontext
from itertools import count

import msgspec
import pytest

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.protocol.limit import ALWAYS, Measure, Rule
from app.protocol.price import Price, Rates, Tariff
from app.services import limits as module
from app.services.beginnings import UnderWay
from app.services.counters import Begun, Counters
from app.services.limits import Limits
from app.services.snapshot import EMPTY, ModelEntry
from tests.services.writing import parts, record

numbers = count(1)
TARIFF = Tariff(Rates(input=0, output=1_000_000_000))  # 1,000 nano-dollars a token
OLD = "00000001abcdefab"


def young():
    """A count that begins now."""
    from app.models.base import utcnow

    return f"{int(utcnow().timestamp()):08x}abcdefab"


class House:
    """One worker: what runs in it, what it has noted, and what it counts."""

    def __init__(self, *, spent=0, tokens=(), model_rules=()):
        self.traces, self.noted = [], []
        entry = ModelEntry("m", "", 0, (), (Price(1, 0.0, TARIFF),), model_rules)
        directory = parts(snapshot=msgspec.structs.replace(EMPTY, models={"m": entry}), refresh=lambda: None)
        asked = parts(
            under=lambda rule, span: lambda: spent,
            in_conversation=lambda user_id, key: lambda: spent,
            tokens=lambda token_id: frozenset({token_id, *tokens}),
        )
        self.counters = Counters()
        self.limits = Limits(directory, self.counters, asked)
        pen = parts(writing=nullcontext(), noted=self.noted)
        self.counters.calls = UnderWay(directory, pen, asked, traces=lambda: self.traces, limits=self.limits)

    def call(self, *rules, user_id=1, token_id=1, endpoint="responses.create", conversation=""):
        call = Call(
            id=f"{next(numbers):032x}",
            request_id="r",
            endpoint=BY_NAME[endpoint],
            caller=Caller(user_id, token_id, "mark", rules=rules),
            body=parse(b'{"model":"m","input":"x","max_output_tokens":500}'),
            model="m",
        )
        self.limits.acquire(call, conversation)
        self.traces.append(parts(call=call, admitted=True, conversation=conversation))
        return call

    def end(self, call, cost=100_000):
        self.traces[:] = [trace for trace in self.traces if trace.call is not call]
        self.limits.settle(record(0, id=call.id, cost=cost))

    @property
    def used(self):
        return {key.split(":")[2]: n for key, n in self.counters._used.items()}


def money(most=10_000_000, *, scope="user", subject_id=1, measure=Measure.TOTAL, since=None):
    return Rule(scope, subject_id, measure, most, "", since or young())


def test_calls_that_run_hold_what_they_may_cost_and_are_settled_with_what_they_did():
    house = House(spent=7)
    running = house.call()
    mine = house.call(money())
    assert house.used == {"money_total": 7 + 500_000 + 500_000}
    for call in (running, mine):
        house.end(call)
    assert (house.used, house.limits.held) == ({"money_total": 7 + 200_000}, 0)


def test_calls_that_run_count_for_those_who_may_run_at_a_time():
    house = House()
    running = house.call()
    rule = money(2, measure=Measure.CONCURRENT)
    house.call(rule)
    assert house.used == {"concurrent": 2}
    house.end(running)
    house.call(rule)
    assert house.used == {"concurrent": 2}


def test_what_ended_just_now_is_no_sums_yet_and_counts_once():
    house = House(spent=7)
    house.noted += [record(n, cost=1000) for n in (1, 2)] + [record(3, user_id=9, cost=1000), record(4, cost=None)]
    house.call(money())
    assert house.used == {"money_total": 7 + 2000 + 500_000}
    house.call(money())
    assert house.used == {"money_total": 7 + 2000 + 1_000_000}


def test_what_was_counted_as_it_ended_is_not_brought_in_again():
    """Who answers late has calls by then that began and ended under the limit, and wait for their commit."""
    house, rule = House(), money()
    running = house.call()
    for call in (running, house.call(rule)):
        house.end(call)
        house.noted.append(record(0, id=call.id, cost=100_000))
    begun = Begun(rule, f"{rule.key}:0", ALWAYS)
    assert list(house.counters._used.items()) == [(begun.key, 200_000)]
    assert house.counters.calls.bring_in(begun, ()).ended == 0
    house.noted.append(record(10**6, cost=1000))
    assert house.counters.calls.bring_in(begun, ()).ended == 1000


def test_so_many_ended_calls_are_remembered_and_at_most_twice_as_many(monkeypatch):
    monkeypatch.setattr(module, "PAID_MIN", 2)
    house, rule = House(), money()
    calls = [house.call(rule) for _ in range(5)]
    for call in calls:
        house.end(call)
    assert [house.limits.has_counted(call.id, f"{rule.key}:0") for call in calls] == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("rule", "theirs"),
    [
        (money(scope="user", subject_id=2), False),
        (money(scope="token", subject_id=5), True),
        (money(scope="token", subject_id=6), False),
        (money(since=OLD), False),
        (money(measure=Measure.REQUESTS), False),
    ],
    ids=["another's", "a token that followed", "another token", "an old limit", "requests"],
)
def test_only_what_a_young_limit_is_of_is_brought_in(rule, theirs):
    house = House(tokens=(1,) if rule.subject_id == 5 else ())
    house.call()
    house.call(rule, user_id=rule.subject_id, token_id=5)
    amount = 500_000 if rule.money else 1
    assert set(house.used.values()) == {2 * amount if theirs else amount}


def test_a_models_limit_is_of_whatever_calls_it():
    rule = Rule("model", 1, Measure.CONCURRENT, 10, "m", young())
    house = House(model_rules=(rule,))
    for user_id in (1, 2):
        house.call(user_id=user_id)
    assert house.used == {"concurrent": 2}


def test_a_conversation_has_its_own_count():
    house = House()
    house.call(conversation="a")
    house.call(conversation="b")
    house.call(money(measure=Measure.CONVERSATION), conversation="a")
    assert list(house.counters._used.values()) == [1_000_000]


def test_a_call_that_was_not_admitted_or_has_room_already_is_not_brought_in():
    house = House()
    rule = money()
    house.call(rule)
    house.call()
    house.traces[-1].admitted = False
    begun = Begun(rule, f"{rule.key}:0", ALWAYS)
    assert house.counters.calls.bring_in(begun, ()).running == []
