"""Counts in Redis: exact between workers, given back by the dead, and a share of them while Redis is away."""

import os
from urllib.parse import urlsplit

import gevent
import pytest
import redis

from app.protocol.limit import ALWAYS, Measure, Rule, Span
from app.services import shared_counters
from app.services.counters import Count, Full
from app.services.shared_counters import LEASES, SharedCounters
from tests.services.writing import at_once

URL = os.environ.get("REALMS_TEST_REDIS", "redis://127.0.0.1:6379")


def database():
    """Return one for this process of tests alone: two must not empty each other's."""
    own = 4 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 12
    return urlsplit(URL)._replace(path=f"/{own}").geturl()


@pytest.fixture
def client():
    client = redis.Redis.from_url(database(), decode_responses=True, socket_timeout=1)
    try:
        client.flushdb()
    except redis.ConnectionError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"Redis is away: {error}")
        pytest.skip(f"Redis is away: {error}")
    yield client
    client.flushdb()
    client.close()


@pytest.fixture
def workers(client):
    return [SharedCounters(client, share=4) for _ in range(4)]


def want(most, amount=1, *, key="k", base=None, measure=Measure.CONCURRENT, span=ALWAYS):
    return Count(Rule("user", 1, measure, most), key, span, base), amount


def give_back(worker):
    worker._givings.give_back()


def test_of_one_more_than_the_limit_exactly_one_is_refused(workers):
    def one(number):
        return lambda: workers[number % 4].take(f"call-{number}", [want(50)])

    told = at_once(*[one(n) for n in range(51)])
    assert len([each for each in told if isinstance(each, Full)]) == 1


def test_what_does_not_fit_takes_nothing_of_anything(workers, client):
    one, two, *_ = workers
    assert one.take("a", [want(5), want(1, key="l")]) == [1, 1]
    with pytest.raises(Full) as full:
        two.take("b", [want(5), want(1, key="l")])
    assert (full.value.count.key, full.value.used) == ("l", 1)
    assert client.get("realms:limit:k") == "1"
    one.give("a", [(want(5), 0), (want(1, key="l"), 0)])
    give_back(one)
    assert two.take("b", [want(5), want(1, key="l")]) == [1, 1]
    assert client.zrange(LEASES, 0, -1) == ["b"]


def test_what_was_spent_is_asked_for_once_between_all_workers(workers):
    asked = []

    def base():
        asked.append(1)
        return 30

    def worth(amount):
        return want(100, amount, base=base, measure=Measure.DAY, span=Span(0, 2_000_000_000))

    assert workers[0].take("a", [worth(20), want(5, key="l")]) == [50, 1]
    assert workers[1].take("b", [worth(50)]) == [100]
    with pytest.raises(Full):
        workers[2].take("c", [worth(1)])
    workers[1].give("b", [(worth(50), 1)])
    give_back(workers[1])
    assert workers[2].take("c", [worth(49)]) == [100]
    assert asked == [1]


def test_what_a_dead_worker_had_reserved_falls_away_and_what_it_had_asked_does_not(workers, client, monkeypatch):
    monkeypatch.setattr(shared_counters, "LEASE_S", -1)
    workers[0].take("a", [want(9, 5, key="money"), want(9, key="asked", measure=Measure.REQUESTS)])
    monkeypatch.setattr(shared_counters, "LEASE_S", 30)
    workers[1].take("b", [want(9, 2, key="money")])
    workers[1]._take_back()
    assert (client.get("realms:limit:money"), client.get("realms:limit:asked")) == ("2", "1")
    assert client.zrange(LEASES, 0, -1) == ["b"]


def test_however_much_dead_workers_held_is_taken_back_at_once(workers, client, monkeypatch):
    monkeypatch.setattr(shared_counters, "LEASE_S", -1)
    for n in range(250):
        workers[0].take(f"a{n}", [want(999)])
    workers[1]._take_back()
    assert (client.get("realms:limit:k"), client.zcard(LEASES)) == ("0", 0)


def test_a_living_workers_leases_are_renewed(workers, client):
    workers[0].take("a", [want(9)])
    client.zadd(LEASES, {"a": 1})
    workers[0]._renew()
    assert client.zscore(LEASES, "a") > 1_700_000_000_000
    assert client.get("realms:limit:k") == "1"


def test_what_is_used_is_told_to_every_worker(workers):
    workers[0].take("a", [want(9, 3)])
    assert workers[1].peek(["k", "l"]) == [3, None]
    assert workers[1].peek([]) == []


def test_a_request_alone_needs_no_lease(workers, client):
    workers[0].take("a", [want(9, measure=Measure.REQUESTS, span=Span(0, 2_000_000_000))])
    assert client.exists(LEASES) == 0
    assert client.ttl("realms:limit:k") > 0


def test_numbers_are_given_back_beside_the_calls(workers, client):
    one = workers[0]
    worker = gevent.spawn(one._work_for_ever)
    one.take("a", [want(1)])
    one.give("a", [(want(1), 0)])
    with gevent.Timeout(5):
        while client.get("realms:limit:k") != "0":
            gevent.sleep(0.01)
    worker.kill()


def test_while_redis_is_away_each_worker_has_its_share():
    client = redis.Redis.from_url("redis://127.0.0.1:1/0", socket_timeout=0.25, socket_connect_timeout=0.25)
    counters = SharedCounters(client, share=4)
    assert counters.take("a", [want(8)]) == [1]
    assert not counters._breaker.closed
    counters.take("b", [want(8)])
    with pytest.raises(Full):
        counters.take("c", [want(8)])
    counters.give("b", [(want(8), 0)])
    counters.take("c", [want(8)])


def test_each_time_without_redis_is_counted_anew_from_what_was_spent(client, monkeypatch):
    """Else a limit would be held, weeks later, to what was used of it at the first time."""
    monkeypatch.setattr("app.services.shared.REST_S", 0.05)
    worker, spent = SharedCounters(client, share=1), [10]

    def worth(amount):
        return want(100, amount, base=lambda: spent[0], measure=Measure.DAY, span=Span(0, 2_000_000_000))

    beside = gevent.spawn(worker._work_for_ever)
    worker._breaker.failed(OSError("away"))
    assert worker.take("old", [worth(30)]) == [40]
    with gevent.Timeout(5):
        while worker._breaker.away or worker._used:
            gevent.sleep(0.01)
    beside.kill()
    spent[0] = 60
    worker._breaker.failed(OSError("away"))
    assert worker.take("new", [worth(40)]) == [100]
    worker.give("old", [(worth(30), 5)])  # which is no part of what is counted now
    with pytest.raises(Full):
        worker.take("too much", [worth(1)])


@pytest.mark.fault("X-13")
def test_what_calls_hold_is_reserved_again_where_redis_has_forgotten_it(workers, client):
    for n in range(3):
        workers[n % 2].take(f"call-{n}", [want(4), want(100, 30, key="money", base=lambda: 10, measure=Measure.DAY)])
    client.flushdb()
    workers[2].take("new", [want(4), want(100, 30, key="money", base=lambda: 10, measure=Measure.DAY)])
    for worker in workers:
        worker._renew()
        worker._renew()
    assert (client.get("realms:limit:k"), client.get("realms:limit:money")) == ("4", "130")
    with pytest.raises(Full):
        workers[3].take("too many", [want(4)])
    used_of_it = [(want(4), 0), (want(100, 30, key="money", measure=Measure.DAY), 5)]
    for n in range(3):
        workers[n % 2].give(f"call-{n}", used_of_it)
    workers[2].give("new", used_of_it)
    for worker in workers:
        give_back(worker)
    assert (client.get("realms:limit:k"), client.get("realms:limit:money")) == ("0", "30")


@pytest.mark.fault("X-13")
def test_what_redis_has_forgotten_is_not_taken_back_from_others(workers, client):
    workers[0].take("old", [want(1), want(99, 30, key="money", measure=Measure.DAY)])
    client.flushdb()
    workers[1].take("new", [want(1), want(99, 30, key="money", measure=Measure.DAY)])
    workers[0].give("old", [(want(1), 0), (want(99, 30, key="money", measure=Measure.DAY), 5)])
    give_back(workers[0])
    assert (client.get("realms:limit:k"), client.get("realms:limit:money")) == ("1", "35")


def test_an_amount_of_any_size_is_counted_to_the_last_of_it(workers, client):
    """A caller may ask for as much as there are numbers, where the limit is as high."""
    one, two, *_ = workers
    most, amount = 2 * 10**18, 15 * 10**17 + 1
    money = want(most, amount, measure=Measure.TOTAL, base=lambda: 1)
    assert one.take("a", [money])
    assert client.get("realms:limit:k") == f"{amount + 1}"
    with pytest.raises(Full):
        two.take("b", [money])
    one.give("a", [(money, 7)])
    give_back(one)
    assert client.get("realms:limit:k") == "8"
    assert one._breaker.closed and two._breaker.closed
