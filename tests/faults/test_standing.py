"""A worker stands still: stopped from outside for a while, or spinning until the server ends it. The others serve."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests import live
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, Client, call, metric
from tests.faults.invariants import Seen, assert_accounted, assert_no_ghosts, assert_owned, assert_settled
from tests.live import until

REDIS = "redis://127.0.0.1:6379/9"
STREAMS = 40
STOPPED_S = 30
DEADLINE_S = 60
"""The server's, for a worker that stands still."""
QUICK_S = 5
"""Within this every call is served meanwhile: no wait for one that stands still."""
TALKS = (RESPONSES, CHAT, MESSAGES)


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    folder = tmp_path_factory.mktemp("standing")
    more = {"workers": "2", "redis_url": REDIS, "drain_s": "3", "metrics_allow": "127.0.0.0/8"}
    with live.database("postgresql", folder, f"realms_standing_{os.getpid()}") as url:
        with live.open_house(folder, url, provider, config="tests/faults/spinning.conf.py", **more) as running:
            yield running


class Streams:
    """Streams that are read to their ends, whatever these are; as many in each worker."""

    def __init__(self, house, options) -> None:
        self.seen = []
        self._clients = []
        self._threads = []
        for worker in house.workers():
            with stopped(worker):  # so that all of these are the other's
                for n in range(STREAMS // 2):
                    self._begin(house, TALKS[n % 3], options)
                until(lambda: all(b"data:" in each.data for each in self.seen), seconds=30)

    def _begin(self, house, talk, options) -> None:
        client = Client(house, timeout=60)
        client.send(talk, options, **({"store": True} if talk is CHAT else {}))
        self._clients.append(client)
        self.seen.append(Seen(talk, client.request_id, house.users["alice"]))
        self._threads.append(threading.Thread(target=self._read, args=(client, self.seen[-1])))
        self._threads[-1].start()

    def _read(self, client, seen) -> None:
        try:
            while piece := client.piece():
                seen.data += piece
        except (OSError, ValueError, live.http.client.HTTPException):
            return

    def whole(self) -> int:
        """How many came to a good end, once all have come to one."""
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.leave()
        return sum(each.read().ended for each in self.seen)


class Served:
    """New calls, one after the other by a few at once; how long each took."""

    def __init__(self) -> None:
        self.took = []
        self.statuses = set()

    def one(self, house) -> None:
        began = time.monotonic()
        try:
            self.statuses.add(call(house, CHAT).status)
        except (OSError, live.http.client.HTTPException) as error:
            self.statuses.add(type(error).__name__)
        self.took.append(time.monotonic() - began)


@contextmanager
def stopped(worker):
    os.kill(worker, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker, signal.SIGCONT)


@contextmanager
def served_meanwhile(house):
    """Call all the while."""
    served, over = Served(), threading.Event()

    def go_on():
        while not over.is_set():
            served.one(house)
            time.sleep(0.05)

    with ThreadPoolExecutor(4) as pool:
        going = [pool.submit(go_on) for _ in range(4)]
        try:
            yield served
        finally:
            over.set()
    for each in going:
        each.result()


@pytest.mark.faults
@pytest.mark.fault("X-5")
@pytest.mark.timeout(180)
def test_a_worker_that_is_stopped_for_a_while_goes_on_where_it_was(house, sim, tell):
    since = sim.count()
    streams = Streams(house, "events=100,gap=0.4")
    workers = house.workers()
    with stopped(workers[0]), served_meanwhile(house) as served:
        time.sleep(STOPPED_S)
        late = metric(house, "realms_loop_lag_seconds")
    whole = streams.whole()
    tell(
        f"stopped for {STOPPED_S} s: {len(served.took)} calls served meanwhile, the slowest in {max(served.took):.2f} s; "
        f"the metrics told of {late:.0f} s; {whole} of {STREAMS} streams ended whole"
    )
    assert served.statuses == {200}
    assert max(served.took) < QUICK_S
    assert late > STOPPED_S - 3
    assert whole == STREAMS
    assert house.workers() == workers
    assert_owned(house, streams.seen)
    assert_settled(house, streams.seen)
    assert_accounted(house, since)


@pytest.mark.faults
@pytest.mark.fault("X-5")
@pytest.mark.timeout(240)
def test_a_worker_that_spins_costs_its_own_streams_alone_and_these_are_recorded(house, sim, tell):
    since = sim.count()
    streams = Streams(house, "events=200,gap=0.4")
    spinning, other = house.workers()
    os.kill(spinning, signal.SIGRTMIN + 1)
    began = time.monotonic()
    with served_meanwhile(house) as served:
        until(lambda: spinning not in house.workers(), seconds=DEADLINE_S * 1.5)
        killed_after = time.monotonic() - began
        until(lambda: len(house.workers()) == 2, seconds=30)
    whole = streams.whole()
    broken = [each.request_id for each in streams.seen if not each.ended]
    assert_owned(house, streams.seen)
    assert_settled(house, streams.seen)
    assert_accounted(house, since)
    rows = until(lambda: _records(house, broken), seconds=60, every=0.5)
    tell(
        f"spinning: ended by the server after {killed_after:.0f} s (its deadline {DEADLINE_S} s); {len(served.took)} calls "
        f"served meanwhile, the slowest in {max(served.took):.2f} s; {whole} of {STREAMS} streams ended whole, the other "
        f"{len(broken)} are recorded as aborted"
    )
    assert served.statuses == {200}
    assert max(served.took) < QUICK_S
    assert killed_after > DEADLINE_S - 5
    assert other in house.workers()
    assert len(broken) == STREAMS // 2
    assert {row["end"] for row in rows} == {"aborted"}
    assert_no_ghosts(sim)


def _records(house, wanted):
    rows = [row for row in house.rows('SELECT request_id, "end" FROM records') if row["request_id"] in wanted]
    return rows if len(rows) == len(wanted) else None
