"""A worker stands still: stopped from outside for a while, or spinning until the server ends it. The others serve."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import live
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, Client, call
from tests.faults.invariants import Seen, assert_accounted, assert_no_ghosts, assert_owned, assert_settled
from tests.live import until

REDIS = "redis://127.0.0.1:6379/9"
STREAMS = 40
STOPPED_S = 6
DEADLINE_S = 10
"""The server's for a worker that stands still (as shipped 60), see the configuration beside."""
TALKS = (RESPONSES, CHAT, MESSAGES)


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    folder = tmp_path_factory.mktemp("standing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUNICORN_CMD_ARGS", "--config tests/faults/spinning.conf.py")
        with live.database("postgresql", folder, f"realms_standing_{os.getpid()}") as url:
            with live.open_house(folder, url, provider, workers="2", redis_url=REDIS, drain_s="3") as running:
                yield running


class Streams:
    """Streams that are read to their ends, whatever these are."""

    def __init__(self, house, options) -> None:
        self.seen = []
        self._clients = []
        for n in range(STREAMS):
            talk, client = TALKS[n % 3], Client(house, timeout=60)
            client.send(talk, options, **({"store": True} if talk is CHAT else {}))
            self._clients.append(client)
            self.seen.append(Seen(talk, client.request_id, house.users["alice"]))
        self._threads = [
            threading.Thread(target=self._read, args=pair) for pair in zip(self._clients, self.seen, strict=True)
        ]
        for thread in self._threads:
            thread.start()
        until(lambda: all(b"data:" in each.data for each in self.seen), seconds=30)

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


def busiest(house):
    """The worker with the most connections: streams are among them."""
    return max(house.workers(), key=lambda pid: len(list(Path(f"/proc/{pid}/fd").iterdir())))


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
@pytest.mark.timeout(120)
def test_a_worker_that_is_stopped_for_a_while_goes_on_where_it_was(house, sim):
    since = sim.count()
    streams = Streams(house, "events=100,gap=0.1")
    stopped = busiest(house)
    os.kill(stopped, signal.SIGSTOP)
    try:
        with served_meanwhile(house) as served:
            time.sleep(STOPPED_S)
    finally:
        os.kill(stopped, signal.SIGCONT)
    whole = streams.whole()
    print(
        f"stopped for {STOPPED_S} s: {len(served.took)} calls served meanwhile, the slowest in {max(served.took):.2f} s; "
        f"{whole} of {STREAMS} streams ended whole"
    )
    assert served.statuses == {200}
    assert max(served.took) < STOPPED_S / 2
    assert whole == STREAMS
    assert stopped in house.workers()
    assert_owned(house, streams.seen)
    assert_settled(house, streams.seen)
    assert_accounted(house, since)


@pytest.mark.faults
@pytest.mark.fault("X-5")
@pytest.mark.timeout(180)
def test_a_worker_that_spins_costs_its_own_streams_alone_and_these_are_recorded(house, sim):
    since = sim.count()
    streams = Streams(house, "events=300,gap=0.1")
    workers = set(house.workers())
    spinning = busiest(house)
    os.kill(spinning, signal.SIGRTMIN + 1)
    began = time.monotonic()
    with served_meanwhile(house) as served:
        until(lambda: spinning not in house.workers(), seconds=DEADLINE_S * 3)
        killed_after = time.monotonic() - began
        until(lambda: len(house.workers()) == 2, seconds=30)
    whole = streams.whole()
    broken = [each.request_id for each in streams.seen if not each.ended]
    assert_owned(house, streams.seen)
    assert_settled(house, streams.seen)
    assert_accounted(house, since)
    rows = until(lambda: _records(house, broken), seconds=60, every=0.5)
    print(
        f"spinning: ended by the server after {killed_after:.0f} s (its deadline {DEADLINE_S} s); {len(served.took)} calls "
        f"served meanwhile, the slowest in {max(served.took):.2f} s; {whole} of {STREAMS} streams ended whole, the other "
        f"{len(broken)} are recorded as aborted"
    )
    assert served.statuses == {200}
    assert max(served.took) < DEADLINE_S / 2
    assert workers - {spinning} <= set(house.workers())
    assert broken
    assert {row["end"] for row in rows} == {"aborted"}
    assert_no_ghosts(sim)


def _records(house, wanted):
    rows = [row for row in house.rows('SELECT request_id, "end" FROM records') if row["request_id"] in wanted]
    return rows if len(rows) == len(wanted) else None
