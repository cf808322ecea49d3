"""Four workers count together: exactly as many as allowed, no more money than there is, and nothing stuck."""

import os
import signal
import threading
import time
from collections import Counter

import pytest

from app.extensions import db
from app.protocol.limit import Measure
from app.protocol.price import Rates, Tariff
from app.services import allowances, catalog, prices
from tests import live
from tests.faults import servers
from tests.faults.clients import CHAT, under_way
from tests.live import until

DOLLAR = 1_000_000_000
pytestmark = pytest.mark.faults


@pytest.fixture
def redis_server():
    with servers.redis_server() as running:
        yield running


@pytest.fixture
def shared(provider, tmp_path, redis_server):
    with live.database("postgresql", tmp_path, f"realms_shared_{os.getpid()}") as url:
        with live.open_house(tmp_path, url, provider, workers="4", drain_s="3", redis_url=redis_server.url) as house:
            yield house


def limit(house, **most):
    with house.app.app_context():
        wanted = {Measure(name): value for name, value in most.items()}
        allowances.put("user", house.users["carol"], most=wanted, actor=None)
        db.session.remove()
    time.sleep(1.2)


def shown(house, measure):
    """How much of a limit is used, as its caller is told."""
    told = house.ask("GET", "/v1/usage", who="carol").json()["limits"]
    return next(each for each in told if each["measure"] == measure)["used"]


def crowd(house, count, options, **more):
    told = Counter()

    def one():
        body = CHAT.asks(options, stream=True, **more)
        told[house.post(CHAT.path, body, who="carol").status] += 1

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


@pytest.mark.acceptance("K-1")
def test_of_one_more_than_the_limit_exactly_one_is_refused(shared, sim):
    limit(shared, concurrent=40)
    for _ in range(3):
        assert crowd(shared, 41, "events=3,gap=1.0") == {200: 40, 429: 1}
    limit(shared, requests_minute=60)
    if time.time() % 60 > 45:
        time.sleep(60 - time.time() % 60)
    assert crowd(shared, 61, "events=1") == {200: 60, 429: 1}


def test_who_calls_one_after_the_other_is_never_refused_for_the_call_before(shared, sim):
    limit(shared, concurrent=1)
    told = Counter(shared.post(CHAT.path, CHAT.asks("events=1", stream=True), who="carol").status for _ in range(300))
    assert told == {200: 300}


def test_far_from_a_limit_few_calls_ask_redis_and_still_exactly_as_many_are_admitted(shared, sim, redis_server):
    limit(shared, requests_minute=400)
    if time.time() % 60 > 30:
        time.sleep(60 - time.time() % 60)
    begun = redis_server.asked
    told = Counter()
    for _ in range(4):
        told += crowd(shared, 80, "events=1")
    asked = redis_server.asked - begun
    print(f"{told}, Redis asked {asked} times")
    assert told == {200: 320}
    assert asked < 320
    until(lambda: 320 <= shown(shared, "requests_minute") < 330, every=0.5)  # a question is a request, too
    told += crowd(shared, 90, "events=1")
    assert 390 < told[200] <= 400
    assert told[429] >= 10


def test_what_was_spent_while_redis_stood_still_counts_when_it_is_back(shared, sim, redis_server):
    """Nobody is refused and nothing fails meanwhile; workers hold calls to their share."""
    with shared.app.app_context():
        prices.put(catalog.find_model("sim-*").id, Tariff(Rates(input=0, output=10 * DOLLAR)), actor=None)
        db.session.remove()
    limit(shared, money_total=1000 * DOLLAR)
    assert crowd(shared, 20, "events=1,output=1000", max_tokens=1000) == {200: 20}
    until(lambda: shown(shared, "money_total") == "0.200000000", seconds=10, every=0.2)
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        assert crowd(shared, 20, "events=1,output=1000", max_tokens=1000) == {200: 20}
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    assert crowd(shared, 20, "events=1,output=1000", max_tokens=1000) == {200: 20}
    until(lambda: shown(shared, "money_total") == "0.600000000", seconds=60, every=1.0)  # a lease ends


def test_what_killed_workers_held_in_chunks_is_free_again(shared, sim):
    limit(shared, concurrent=200)
    assert crowd(shared, 40, "events=1") == {200: 40}
    for worker in shared.workers():
        os.kill(worker, signal.SIGKILL)
    until(lambda: _usable(shared) and shown(shared, "concurrent") == 0, seconds=60, every=1.0)


def _usable(house):
    try:
        return house.ask("GET", "/readyz").status == 200
    except OSError:
        return False


@pytest.mark.acceptance("K-2")
def test_two_hundred_calls_with_money_for_ten_spend_it_and_no_more(shared, sim):
    """Each may cost 100,010 tokens at 10 dollars a million, so about a dollar; and does."""
    with shared.app.app_context():
        tariff = Tariff(Rates(input=0, output=10 * DOLLAR))
        prices.put(catalog.find_model("sim-*").id, tariff, actor=None)
        db.session.remove()
    limit(shared, money_day=10 * DOLLAR + 5000)
    told = crowd(shared, 200, "events=3,gap=0.3,output=100000", max_tokens=100_000)
    assert told == {200: 10, 429: 190}
    spent = "SELECT SUM(cost_nanos) AS nanos FROM {}"
    until(lambda: shared.rows(spent.format("records"))[0]["nanos"] == 10 * DOLLAR)
    assert shared.rows(spent.format("rollups"))[0]["nanos"] == 10 * DOLLAR
    assert crowd(shared, 4, "events=1", max_tokens=100_000) == {429: 4}


@pytest.mark.acceptance("K-1", "K-2")
def test_calls_that_run_anywhere_when_a_limit_is_set_count_under_it(shared, sim):
    """Each comes to a cent. Those of all workers are brought in before any worker admits a call under the limit."""
    cent = DOLLAR // 100
    with shared.app.app_context():
        prices.put(catalog.find_model("sim-*").id, Tariff(Rates(input=0, output=10 * DOLLAR)), actor=None)
        db.session.remove()
    time.sleep(1.2)
    for most in ({"money_total": 50 * cent + cent // 2}, {"concurrent": 50}):
        before = sum(row["nanos"] for row in shared.rows("SELECT cost_nanos AS nanos FROM records"))
        most = {name: value + (before if name == "money_total" else 0) for name, value in most.items()}
        with under_way(shared, 40, who="carol", gap=4.0):
            with shared.app.app_context():
                wanted = {Measure(name): value for name, value in most.items()}
                allowances.put("user", shared.users["carol"], most=wanted, actor=None)
                db.session.remove()
            time.sleep(1.0)
            assert crowd(shared, 40, "events=3,gap=1.0,output=1000", max_tokens=1000) == {200: 10, 429: 30}
        until(lambda before=before: _spent(shared) == before + 50 * cent)
        (measure,) = most
        after = f"{(before + 50 * cent) / DOLLAR:.9f}" if measure == "money_total" else 0
        until(lambda measure=measure, after=after: shown(shared, measure) == after)
        limit(shared)


def _spent(house):
    return house.rows("SELECT SUM(cost_nanos) AS nanos FROM records")[0]["nanos"]


@pytest.mark.fault("X-1")
def test_what_killed_workers_held_is_free_again_and_their_calls_have_records(shared, sim):
    limit(shared, concurrent=8)
    threads = [threading.Thread(target=lambda: _left(shared)) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: sim.control("GET", "stats")["open"] == 8)
    assert crowd(shared, 1, "events=1") == {429: 1}
    for worker in shared.workers():
        os.kill(worker, signal.SIGKILL)
    for thread in threads:
        thread.join()
    until(lambda: crowd(shared, 1, "events=1")[200], seconds=45, every=1.0)
    died = "SELECT COUNT(*) AS n FROM records WHERE \"end\" = 'aborted' AND input_tokens > 0"
    until(lambda: shared.rows(died)[0]["n"] == 8, seconds=30, every=0.5)


def _left(house):
    try:
        house.post(CHAT.path, CHAT.asks("events=100,gap=1.0", stream=True), who="carol")
    except OSError:
        pass
    except Exception as error:
        assert "IncompleteRead" in type(error).__name__ or "Disconnected" in type(error).__name__
