"""X-3, X-4: new code is loaded under load; nobody is refused, no stream breaks, and the old workers go."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests import live
from tests.faults.clients import CHAT, MESSAGES, Client, call
from tests.faults.invariants import Seen, assert_no_ghosts, assert_settled
from tests.live import until

STREAMS = 1000
CALLS_PER_S = 50
CALLERS = 8
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture
def house(provider, tmp_path):
    with live.database("sqlite", tmp_path, "reload") as url:
        with live.open_house(tmp_path, url, provider, drain_s="90") as running:
            yield running


class Callers:
    """Short calls at a steady pace, each on a connection of its own."""

    def __init__(self, house) -> None:
        self.told = []
        self._house = house
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._over.wait(CALLERS / CALLS_PER_S):
            since = time.monotonic()
            try:
                whole = call(self._house, CHAT, "events=2")
                status = whole.status if whole.body.endswith(b"[DONE]\n\n") else "cut"
            except OSError as error:
                status = type(error).__name__
            self.told.append((status, time.monotonic() - since))

    def p99(self, since=0):
        waits = sorted(took for _, took in self.told[since:])
        return waits[int(len(waits) * 0.99)]


def opened(house):
    """A thousand streams that have begun, and go on for half a minute."""
    clients = [Client(house, timeout=120) for _ in range(STREAMS)]
    talks = [(CHAT, MESSAGES)[n % 2] for n in range(STREAMS)]
    for client, talk in zip(clients, talks, strict=True):
        client.send(talk, "events=16,gap=2")
    for client in clients:
        assert client.answer.status == 200
    return list(zip(clients, talks, strict=True))


def read(house, opened_clients):
    seen = []
    for client, talk in opened_clients:
        seen.append(Seen(talk, client.request_id, house.users["alice"], client.rest()).read())
        seen[-1].ids.clear()  # nothing is stored
        client.leave()
    return seen


def children(pid):
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def by_hangup(house):
    """As `systemctl reload` does: new workers of the same server."""
    old = set(house.workers())
    house.process.send_signal(signal.SIGHUP)
    until(lambda: set(house.workers()) - old, seconds=60)
    return lambda: until(lambda: not set(house.workers()) & old, seconds=60)


def by_upgrade(house):
    """A new server beside the old one, on the same listening socket; then the old one is told to stop."""
    old = set(house.workers())
    house.process.send_signal(signal.SIGUSR2)
    new = until(lambda: next((pid for pid in house.workers() if pid not in old and children(pid)), None), seconds=60)
    time.sleep(2)  # until the new worker listens: whoever comes before is the old one's
    house.process.send_signal(signal.SIGTERM)

    def gone():
        assert house.process.wait(90) == 0
        assert call(house, CHAT, "events=2").status == 200, "the new one serves"
        os.kill(new, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{new}").exists(), seconds=30)

    return gone


@pytest.mark.parametrize(
    "way",
    [pytest.param(by_hangup, marks=pytest.mark.fault("X-3")), pytest.param(by_upgrade, marks=pytest.mark.fault("X-4"))],
)
def test_new_code_under_load_refuses_nobody_and_breaks_no_stream(house, sim, tell, way):
    clients = opened(house)
    with Callers(house) as callers:
        time.sleep(3)
        quiet, before = callers.p99(), len(callers.told)
        gone = way(house)
        seen = read(house, clients)
    gone()
    told, whole = callers.told, sum(each.ended for each in seen)
    tell(
        f"{whole} of {STREAMS} streams whole; {len(told)} new calls, {sum(status != 200 for status, _ in told)} refused "
        f"or broken; their p99 {quiet * 1000:.0f} ms before, {callers.p99(before) * 1000:.0f} ms meanwhile"
    )
    assert {status for status, _ in told} == {200}
    assert whole == STREAMS
    assert_settled(house, seen)
    assert_no_ghosts(house.provider)
    assert b"SIGKILL" not in house.log.read_bytes()
