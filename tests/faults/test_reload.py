"""X-3: new code is loaded under load; nobody is refused, no stream breaks, and the old workers go."""

import signal
import threading
import time

import pytest

from tests import live
from tests.faults.clients import CHAT, MESSAGES, Client, call
from tests.faults.invariants import Seen, assert_no_ghosts, assert_settled
from tests.live import until

STREAMS = 200
CALLS_PER_S = 20
pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


@pytest.fixture
def house(provider, tmp_path):
    with live.database("sqlite", tmp_path, "reload") as url:
        with live.open_house(tmp_path, url, provider, drain_s="60") as running:
            yield running


class Callers:
    """Short calls at a steady pace, each on a connection of its own."""

    def __init__(self, house) -> None:
        self.told = []
        self._house = house
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(4)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        while not self._over.wait(4 / CALLS_PER_S):
            since = time.monotonic()
            try:
                whole = call(self._house, CHAT, "events=2")
                status = whole.status if whole.body.endswith(b"[DONE]\n\n") else "cut"
            except OSError as error:
                status = type(error).__name__
            self.told.append((status, time.monotonic() - since))


def test_a_reload_under_load_refuses_nobody_and_breaks_no_stream(house, sim):
    old = set(house.workers())
    clients = [Client(house, timeout=120) for _ in range(STREAMS)]
    talks = [(CHAT, MESSAGES)[n % 2] for n in range(STREAMS)]
    for client, talk in zip(clients, talks, strict=True):
        client.send(talk, "events=100,gap=0.2")
    for client in clients:
        assert client.answer.status == 200
    with Callers(house) as callers:
        time.sleep(2)
        house.process.send_signal(signal.SIGHUP)
        until(lambda: set(house.workers()) - old, seconds=30)
        seen = []
        for client, talk in zip(clients, talks, strict=True):
            seen.append(Seen(talk, client.request_id, house.users["alice"], client.rest()).read())
            client.leave()
        until(lambda: not set(house.workers()) & old, seconds=30)
    for each in seen:
        each.ids.clear()  # nothing is stored
    waits = sorted(took for _, took in callers.told)
    print(
        f"{STREAMS} streams, {sum(each.ended for each in seen)} whole; {len(waits)} new calls, "
        f"{sum(status != 200 for status, _ in callers.told)} refused or broken; "
        f"p50 {waits[len(waits) // 2]:.3f} s, p99 {waits[int(len(waits) * 0.99)]:.3f} s"
    )
    assert {status for status, _ in callers.told} == {200}
    assert all(each.ended for each in seen)
    assert_settled(house, seen)
    assert_no_ghosts(house.provider)
    assert "SIGKILL" not in house.log.read_text()
