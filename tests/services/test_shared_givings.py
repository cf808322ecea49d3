"""What calls hold is given back in Redis; of whom more is told later, whichever worker hears of it corrects it."""

import pytest
import redis

from app.protocol.limit import ALWAYS, Measure, Rule, Span
from app.services import shared_givings
from app.services.counters import Count
from tests.services.test_chunks import Worker, names, settled, workers  # noqa: F401 - a fixture
from tests.services.test_shared_counters import client  # noqa: F401 - a fixture

MOST = 1_000_000
DAY = Span(0, 2_000_000_000)


def money(amount=100, *, span=ALWAYS, base=lambda: 5000):
    measure = Measure.TOTAL if span is ALWAYS else Measure.DAY
    return Count(Rule("user", 1, measure, MOST), "k", span, base), amount


def directly(worker, wanted):
    name = next(names)
    worker._take_shared(name, [wanted])
    return name


def from_chunk(worker, wanted):
    while (name := worker.admitted(wanted)) not in worker._chunks:
        worker.give(name, [(wanted, 0)])
    return name


def alone(worker, wanted):
    """While Redis is away; somebody has counted there before."""
    worker.give(directly(worker, wanted), [(wanted, 0)])
    worker._breaker.failed(redis.TimeoutError())
    return worker.admitted(wanted)


def spent(worker):
    """What a limit says is used, what is free in chunks left out."""
    return worker.peek(["k"])[0]


@pytest.mark.parametrize("span", [ALWAYS, DAY], ids=["for ever", "day"])
@pytest.mark.parametrize("used", [100, 40], ids=["all that was reserved", "a guess"])
@pytest.mark.parametrize("take", [directly, from_chunk, alone])
def test_whichever_worker_hears_what_a_call_cost_after_all_corrects_it(workers, client, take, used, span):  # noqa: F811
    first, second, *_ = workers
    wanted = money(span=span)
    name = take(first, wanted)
    first.give(name, [(wanted, used)], later=True)
    settled(lambda: client.exists(f"realms:kept:{name}") and spent(second) == 5000 + used)
    for worker, cost in ((second, 30), (first, 30), (second, 2000), (first, 7)):
        worker.complete(name, cost)
        settled(lambda cost=cost: spent(second) == 5000 + cost)


@pytest.mark.parametrize("take", [directly, from_chunk])
def test_a_lost_answer_counts_nothing_twice(workers, client, take):  # noqa: F811
    first = workers[0]
    name = take(first, money())
    give, lost = first._givings._give, []

    def losing(*arguments):
        told = give(*arguments)
        if not lost:
            lost.append(told)
            raise redis.TimeoutError("gone")

    first._givings._give = losing
    first.give(name, [(money(), 100)], later=True)
    settled(lambda: lost and not first._givings._ended)
    settled(lambda: spent(first) == 5100)
    first.complete(name, 10)
    settled(lambda: spent(first) == 5010)


def test_a_number_that_began_anew_is_left_alone(workers, client):  # noqa: F811
    first, second, *_ = workers
    name = directly(first, money())
    first.give(name, [(money(), 100)], later=True)
    settled(lambda: client.exists(f"realms:kept:{name}"))
    client.flushdb()
    directly(second, money(1, base=lambda: 6000))
    second.complete(name, 10)
    settled(lambda: not second._givings._completed)
    settled(lambda: spent(second) == 6001)


def test_what_is_gone_when_a_call_ends_is_not_kept(workers, client):  # noqa: F811
    first, second, *_ = workers
    name = directly(first, money())
    client.flushdb()
    first.give(name, [(money(), 100)], later=True)
    settled(lambda: not first._givings._ended)
    directly(second, money(1, base=lambda: 6000))
    second.complete(name, 10)
    settled(lambda: not second._givings._completed)
    settled(lambda: spent(second) == 6001)


def test_nothing_is_kept_for_longer_than_the_number_it_is_of(workers, client):  # noqa: F811
    """One that nobody uses is forgotten and begins anew, without the call."""
    first = workers[0]
    name = directly(first, money())
    client.expire("realms:limit:k", 100)
    first.give(name, [(money(), 100)], later=True)
    settled(lambda: client.exists(f"realms:kept:{name}"))
    assert client.expiretime(f"realms:kept:{name}") <= client.expiretime("realms:limit:k")


def test_what_is_told_while_redis_is_away_is_corrected_when_it_is_back(workers, client):  # noqa: F811
    first = workers[0]
    name = directly(first, money())
    first.give(name, [(money(), 100)], later=True)
    settled(lambda: spent(first) == 5100)
    first._breaker.failed(redis.TimeoutError())
    first.complete(name, 10)
    settled(lambda: spent(first) == 5010)


def test_while_too_much_waits_for_redis_calls_stay_as_they_were_estimated(workers, client, monkeypatch):  # noqa: F811
    first = workers[0]
    names_of = [directly(first, money()) for _ in range(2)]
    monkeypatch.setattr(shared_givings, "KEPT_MAX", 1)
    for name in names_of:
        first.give(name, [(money(), 100)], later=True)
    settled(lambda: spent(first) == 5200 and not first._givings._ended)
    for name in names_of:
        first.complete(name, 10)
        settled(lambda: not first._givings._completed)
    settled(lambda: spent(first) == 5110)
