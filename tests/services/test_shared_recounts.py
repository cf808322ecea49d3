"""Counts in Redis that are in doubt: one worker looks at a time, and what comes into doubt without Redis isn't lost."""

import pytest
import redis

from app.protocol.limit import ALWAYS, Measure, Rule
from app.services.counters import Count
from app.services.shared import Breaker
from app.services.shared_counters import SharedCounters
from app.services.shared_recounts import DOUBT_S, DOUBTED, LOOKING, SharedRecounts
from tests.services.test_shared_counters import client  # noqa: F401 - a fixture

WANT = Count(Rule("user", 1, Measure.TOTAL, 100_000), "k", ALWAYS), 100


def hire(client):  # noqa: F811
    breaker = Breaker(client)
    counters = SharedCounters(client, share=2, breaker=breaker)
    return counters, SharedRecounts(counters, client, breaker), breaker


@pytest.fixture
def one(client):  # noqa: F811
    return hire(client)


def test_one_worker_looks_at_a_time_and_another_once_it_is_gone(client, one):  # noqa: F811
    _, mine, _ = one
    _, others, _ = hire(client)
    assert mine.doubted() == {}
    mine.doubt(["a", "b"])
    assert set(mine.doubted()) == {"a", "b"}
    assert others.doubted() == {}
    client.delete(LOOKING)
    found = others.doubted()
    mine.doubt(["b"])
    others.sure(found)
    assert client.zrange(DOUBTED, 0, -1) == ["b"]


def test_what_chunks_and_calls_hold_is_not_spent(client, one):  # noqa: F811
    counters, recounts, _ = one
    counters._listening = True  # or no chunk is granted
    counters.take("a", [WANT])
    assert int(client.get("realms:limit:k")) > 200
    assert recounts.said(["k", "nobody counts this"]) == [0, None]
    for _ in range(2):
        recounts.correct({"k": 70, "nobody counts this": 70})
        assert (recounts.said(["k"]), client.exists("realms:limit:nobody counts this")) == ([70], 0)


def test_a_count_of_any_size_is_brought_up(client, one):  # noqa: F811
    counters, recounts, _ = one
    counters.take("a", [WANT])
    recounts.correct({"k": 10**18})
    assert client.get("realms:limit:k") == str(10**18 + 100)


def test_what_comes_into_doubt_while_redis_is_away_is_told_once_it_is_back(client, one):  # noqa: F811
    _, recounts, breaker = one
    breaker._away = True
    recounts.doubt(["a"])
    assert (recounts.doubted(), client.exists(DOUBTED)) == ({}, 0)
    breaker._away = False
    assert set(recounts.doubted()) == {"a"}


def test_redis_that_fails_meanwhile_loses_nothing(client):  # noqa: F811
    gone = redis.Redis.from_url("redis://127.0.0.1:1/0", socket_timeout=0.25, socket_connect_timeout=0.25)
    _, recounts, breaker = hire(gone)
    recounts.doubt(["a"])
    assert breaker.away
    recounts._client, breaker._away = client, False
    assert set(recounts.doubted()) == {"a"}


def test_what_never_comes_to_rest_is_given_up(client, one):  # noqa: F811
    _, recounts, _ = one
    recounts.doubt(["new"])
    client.zadd(DOUBTED, {"old": client.zscore(DOUBTED, "new") - DOUBT_S - 1})
    assert set(recounts.doubted()) == {"new"}
