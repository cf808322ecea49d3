"""Two hosts on one PostgreSQL and one Redis: each with its own address, data directory and journal, two workers each."""

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
import redis

from app.extensions import db
from app.models import User
from app.protocol.limit import Measure
from app.services import allowances, tokens
from tests import live
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, call, name_of
from tests.faults.invariants import assert_no_ghosts, assert_owned, assert_settled
from tests.faults.test_storm import Crowd
from tests.live import until

REDIS = "redis://127.0.0.1:6379/9"
pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """What opens a host by its name."""
    folder = tmp_path_factory.mktemp("hosts")
    client = redis.Redis.from_url(REDIS)
    client.flushdb()
    with live.open_provider() as provider, live.database("postgresql", folder, f"realms_hosts_{os.getpid()}") as url:

        @contextmanager
        def host(name, *, beside=None):
            (folder / name).mkdir(exist_ok=True)
            settings = {"workers": "2", "redis_url": REDIS, "drain_s": "3", "cooldown_s": "2"}
            with live.open_house(folder / name, url, provider, beside=beside, **settings) as house:
                yield house

        yield host
    client.flushdb()
    client.close()


@pytest.fixture(scope="module")
def hosts(deployment):
    with deployment("one") as one, deployment("two", beside=one) as two:
        yield one, two


@pytest.fixture(autouse=True)
def _no_faults(hosts):
    hosts[0].provider.control("DELETE", "faults")


@pytest.mark.acceptance("A-7")
def test_a_token_that_is_revoked_on_one_host_is_refused_on_the_other_within_a_second(hosts):
    """The quickest of three counts: the machine may have other work."""
    took = min(revoked_after(*hosts, name) for name in ("first", "second", "third"))
    print(f"revoked on one host, refused on the other after {took:.2f} s")
    assert took < 1.5  # a second, and the question itself


def revoked_after(one, two, name):
    """Return how many seconds after a token was revoked on one host the other refuses it."""
    with one.app.app_context():
        carol = db.session.get(User, one.users["carol"])
        minted = tokens.mint(carol, name=name, actor=carol)
        one.tokens[name] = minted.secret
        number = minted.token.id
    until(lambda: two.ask("GET", "/v1/models", who=name).status == 200, seconds=2)
    with one.app.app_context():
        tokens.revoke(number, actor=None, owner=None)
        since = time.monotonic()
    with ThreadPoolExecutor(8) as pool:  # so many at once that both workers are asked

        def refused():
            return all(pool.map(lambda _: two.ask("GET", "/v1/models", who=name).status == 401, range(8)))

        until(refused, seconds=10)
    return time.monotonic() - since


@pytest.mark.parametrize("talk", TALKS[:2], ids=name_of)
def test_what_one_host_stored_is_its_owners_on_the_other_and_nobody_elses(hosts, talk):
    one, two = hosts
    more = {"store": True} if talk is CHAT else {}
    made = one.post(talk.path, talk.asks(stream=False, **more)).json()["id"]
    assert two.ask("GET", f"{talk.path}/{made}").json()["id"] == made
    assert two.ask("GET", f"{talk.path}/{made}", who="bob").status == 404
    assert two.ask("DELETE", f"{talk.path}/{made}").status == 200
    assert one.ask("GET", f"{talk.path}/{made}").status == 404


def test_who_is_left_out_on_one_host_is_left_out_on_the_other(hosts):
    one, two = hosts
    one.provider.control("POST", "faults", {"fault": "status=429,retry_after=3", "times": 1})
    assert call(one, MESSAGES, stream=False).status == 429
    time.sleep(0.2)
    before = one.provider.count()
    with ThreadPoolExecutor(12) as pool:
        told = Counter(pool.map(lambda _: call(two, MESSAGES, stream=False).status, range(12)))
    assert set(told) == {429}
    assert one.provider.count() == before, "the other host asked an upstream that was to be left alone"
    until(lambda: call(two, MESSAGES, stream=False).status == 200, seconds=6, every=0.3)


@pytest.mark.acceptance("K-1")
def test_limits_are_exact_across_both(hosts):
    one, _ = hosts
    with one.app.app_context():
        allowances.put("user", one.users["bob"], most={Measure("concurrent"): 20}, actor=None)
        db.session.remove()
    time.sleep(1.2)
    told = Counter()

    def ask(n):
        body = CHAT.asks("events=3,gap=1.0", stream=True)
        told[hosts[n % 2].post(CHAT.path, body, who="bob").status] += 1

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == {200: 20, 429: 10}
    with one.app.app_context():
        allowances.put("user", one.users["bob"], most={}, actor=None)
        db.session.remove()
    time.sleep(1.2)


@pytest.mark.fault("X-1")
@pytest.mark.acceptance("B-4")
@pytest.mark.timeout(180)
def test_a_host_that_is_killed_whole_and_started_again_has_lost_nothing(hosts, deployment, tell):
    """Every process of a host at once, with sixty clients on it; the other serves meanwhile."""
    one, _ = hosts
    with ExitStack() as stack:
        lost = stack.enter_context(deployment("three", beside=one))
        with Crowd(lost) as crowd:
            until(lambda: len(crowd.seen) > 300 and sum(each.data != b"" for each in crowd.seen) > 200, seconds=60)
            for pid in (lost.process.pid, *lost.workers()):
                os.kill(pid, signal.SIGKILL)
            lost.process.wait()
            assert call(one, RESPONSES, stream=False).status == 200
        again = stack.enter_context(deployment("three", beside=one))
        seen = [each.read() for each in crowd.seen]
        assert_owned(again, seen)
        assert_settled(again, seen)
        tell(
            f"one of two hosts killed whole: {len(seen)} calls, {sum(len(each.ids) for each in seen)} ids, "
            f"{sum(each.ended for each in seen)} ends seen, none lost"
        )
        assert_no_ghosts(again.provider)
