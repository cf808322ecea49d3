"""Far from a limit workers admit calls from chunks, without asking; and still exactly as many as are allowed."""

import random
from contextlib import suppress
from itertools import count

import gevent
import pytest
import redis

from app.protocol.limit import ALWAYS, Measure, Rule, Span
from app.services import shared_counters
from app.services.counters import Count, Full
from app.services.shared import channel
from app.services.shared_counters import LEASES, SharedCounters
from tests.services.test_shared_counters import client  # noqa: F401 - a fixture
from tests.services.writing import at_once

MINUTE = Span(0, 2_000_000_000)
KEY = "realms:limit:k"
names = (f"call-{n}" for n in count())


def want(most, amount=1, *, measure=Measure.CONCURRENT, key="k", base=None):
    span = ALWAYS if measure is Measure.CONCURRENT else MINUTE
    return Count(Rule("user", 1, measure, most), key, span, base), amount


class Worker(SharedCounters):
    """One that works in this process, and counts how often it asks."""

    def __init__(self, redis_client):
        super().__init__(redis_client, share=4)
        self.asked = 0
        self.jobs = [gevent.spawn(self._work_for_ever), gevent.spawn(self._listen_for_ever)]
        with gevent.Timeout(5):
            while not self._listening:
                gevent.sleep(0.01)

    def _ask(self, *arguments, **more):
        self.asked += 1
        return super()._ask(*arguments, **more)

    def admitted(self, wanted):
        """Whether a call is; the name of it."""
        name = next(names)
        try:
            self.take(name, [wanted])
        except Full:
            return None
        return name

    def stop(self):
        gevent.killall(self.jobs)


@pytest.fixture
def workers(client, monkeypatch):  # noqa: F811
    monkeypatch.setattr(shared_counters, "LISTEN_S", 0)  # sockets of this process wait for nobody else
    made = [Worker(client) for _ in range(4)]
    yield made
    for worker in made:
        worker.stop()


def number(client):  # noqa: F811
    return int(client.get(KEY) or 0)


def settled(check, seconds=5.0):
    with gevent.Timeout(seconds):
        while not check():
            gevent.sleep(0.02)


@pytest.mark.parametrize("measure", [Measure.CONCURRENT, Measure.REQUESTS, Measure.DAY])
def test_exactly_as_many_as_allowed_are_admitted_and_few_of_them_ask(workers, client, measure):  # noqa: F811
    wanted = want(2000, measure=measure)
    told = at_once(*[lambda n=n: [workers[n].admitted(wanted) for _ in range(510)] for n in range(4)])
    assert sum(name is not None for each in told for name in each) == 2000
    assert number(client) == 2000
    assert client.hlen(f"realms:free:{KEY}") == 0
    assert sum(worker.asked for worker in workers) < 2000 / 4


def test_what_one_worker_holds_is_there_for_the_others(workers, client):  # noqa: F811
    first, second, *_ = workers
    assert [first.admitted(want(400)) for _ in range(3)]
    assert number(client) > 3
    assert sum(second.admitted(want(400)) is not None for _ in range(410)) == 397
    assert first.admitted(want(400)) is None


@pytest.mark.parametrize("measure", [Measure.CONCURRENT, Measure.DAY])
def test_what_a_call_gives_back_is_there_for_the_next_at_another_worker(workers, measure):
    first, second, *_ = workers
    wanted = want(1, measure=measure)
    for worker, other in ((first, second), (second, first)) * 5:
        name = worker.admitted(wanted)
        worker.give(name, [(wanted, 0)])
        last = other.admitted(wanted)
        assert last is not None
        other.give(last, [(wanted, 0)])


def test_where_nothing_comes_back_one_call_waits_and_the_others_are_refused_at_once(workers):
    first, second, *_ = workers
    assert first.admitted(want(1))
    assert second.admitted(want(1)) is None
    asked = second.asked
    assert [second.admitted(want(1)) for _ in range(10)] == [None] * 10
    assert second.asked == asked + 10


def test_what_is_free_is_not_told_as_used(workers):
    first, second, *_ = workers
    for _ in range(3):
        first.admitted(want(1000))
    settled(lambda: second.peek(["k"]) == [3])


def test_what_nobody_uses_goes_back(workers, client):  # noqa: F811
    calls = [workers[0].admitted(want(1000)) for _ in range(3)]
    for name in calls:
        workers[0].give(name, [(want(1000), 0)])
    settled(lambda: number(client) == 0 and not client.exists(LEASES))


def test_money_is_settled_to_what_was_used_and_a_chunk_may_be_overdrawn(workers, client):  # noqa: F811
    wanted = want(100_000, 100, measure=Measure.DAY, base=lambda: 5000)
    calls = [workers[0].admitted(wanted) for _ in range(8)]
    assert workers[0].asked == 2  # what was spent before is asked for once
    for name, used in zip(calls, (10, 3000, 100, 0, 100, 100, 100, 100), strict=True):
        workers[0].give(name, [(wanted, used)])
    settled(lambda: number(client) == 8510)


def test_of_a_call_that_nobody_settles_nothing_is_remembered(workers):
    """A read of a stored object is a request and nothing else: it holds no room that it could give back."""
    calls = [workers[0].admitted(want(1000, measure=Measure.REQUESTS)) for _ in range(9)]
    assert workers[0].asked < 9
    assert not [name for name in calls if name in workers[0]._chunks]


def test_a_limit_that_is_lowered_holds_at_once(workers):
    for _ in range(3):
        assert workers[0].admitted(want(1000))
    assert workers[0].admitted(want(3)) is None


def test_what_a_dead_worker_held_and_reserved_is_free_again(workers, client, monkeypatch):  # noqa: F811
    first, second, *_ = workers
    for _ in range(5):
        assert first.admitted(want(1000))
        assert first.admitted(want(1000, measure=Measure.REQUESTS, key="asked"))
    settled(lambda: client.hget(f"realms:free:{KEY}", first._name) is not None)
    first.stop()
    for name in client.zrange(LEASES, 0, -1):
        client.zadd(LEASES, {name: 1})
    assert second.admitted(want(1000))
    second._take_back()
    assert client.hlen(f"realms:free:{KEY}") == client.hexists(f"realms:free:{KEY}", second._name)
    settled(lambda: second.peek(["k"]) == [1])
    assert int(client.get("realms:limit:asked")) >= 5


def test_a_worker_that_stood_still_too_long_counts_right_again(workers, client):  # noqa: F811
    first, second, *_ = workers
    wanted = want(1000, 10, measure=Measure.DAY)
    direct = next(names)
    first._take_shared(direct, [wanted])
    from_chunk = first.admitted(wanted)
    assert from_chunk in first._chunks
    for name in client.zrange(LEASES, 0, -1):
        client.zadd(LEASES, {name: 1})
    second._take_back()
    first._holds_until = 0.0
    first.give(direct, [(wanted, 7)])
    first.give(from_chunk, [(wanted, 4)])
    settled(lambda: number(client) == 11)


def test_an_answer_that_is_lost_loses_no_room(workers, client):  # noqa: F811
    first = workers[0]

    def lost(*arguments):
        take(*arguments)
        raise redis.TimeoutError("gone")

    take, first._take = first._take, lost
    first.take("lost", [want(1000, measure=Measure.REQUESTS)])  # by its share
    first._take = take
    settled(lambda: number(client) == 1)  # what was asked for stays asked


def test_a_redis_that_forgot_everything_hears_what_is_held(workers, client):  # noqa: F811
    calls = [workers[0].admitted(want(1000)) for _ in range(10)]
    client.flushdb()
    assert workers[1].admitted(want(1000))
    workers[0].give(calls.pop(), [(want(1000), 0)])
    settled(lambda: workers[1].peek(["k"])[0] >= 9)


def test_what_was_spent_while_redis_was_away_is_told(workers, client, monkeypatch):  # noqa: F811
    first = workers[0]
    wanted = want(100_000, 100, measure=Measure.DAY)
    assert first.admitted(wanted)
    first._breaker.failed(redis.TimeoutError())
    name = first.admitted(wanted)
    first.give(name, [(wanted, 40)])
    settled(lambda: workers[1].peek(["k"]) == [140])


def test_what_was_spent_of_the_highest_limits_is_told_to_the_last_of_it(workers, client):  # noqa: F811
    """Redis reads no number of Lua's from 10^17 on: it is "1e+17" there, and worth nothing in most commands."""
    first, second, *_ = workers
    wanted = want(2 * 10**18, 10**16 + 1, measure=Measure.TOTAL)
    held = [first.admitted(wanted) for _ in range(12)]
    first._breaker.failed(redis.TimeoutError())
    for spent in (3 * 10**17 + 7, 10**17):
        first.give(first.admitted(wanted), [(wanted, spent)])
    settled(lambda: number(client) >= 4 * 10**17 + 7 + 12 * (10**16 + 1))
    for name in held:
        first.give(name, [(wanted, 1)])
    settled(lambda: second.peek(["k"]) == [4 * 10**17 + 7 + 12])


def test_whatever_happens_the_number_is_what_is_reserved_and_was_used(workers, client):  # noqa: F811
    """A thousand things in some order: calls begin and end, answers get lost, chunks are called back."""
    chance, wanted, live, used = random.Random(4), want(100_000, 100, measure=Measure.DAY), [], 0

    def lost(told):
        def failing(*arguments):
            told(*arguments)
            raise redis.TimeoutError("gone")

        return failing

    for _ in range(1000):
        worker = chance.choice(workers)
        act = chance.random()
        if act < 0.5:
            name = worker.admitted(wanted)
            if name is not None:
                live.append((worker, name))
        elif act < 0.95 and live:
            worker, name = live.pop(chance.randrange(len(live)))
            cost = chance.choice([0, 50, 100, 130])
            used += cost
            worker.give(name, [(wanted, cost)])
        elif act < 0.97:
            tell, worker._tell = worker._tell, lost(worker._tell)
            with suppress(redis.TimeoutError):
                worker._tell_chunks(all_=True)
            worker._tell = tell
        else:
            client.publish(channel(client, "recall"), KEY)
            gevent.sleep(0)
    settled(lambda: workers[0].peek(["k"]) == [used + 100 * len(live)])
