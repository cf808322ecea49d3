"""Workers are killed at random under sixty streaming clients: nothing that a client saw is lost."""

import http.client
import os
import random
import signal
import threading
import time
from contextlib import suppress
from typing import Self

import pytest

from app.extensions import db
from app.protocol.price import Rates, Tariff
from app.services import catalog, prices
from tests import live
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, Client, call
from tests.faults.invariants import (
    Seen,
    assert_accounted,
    assert_balanced,
    assert_no_ghosts,
    assert_owned,
    assert_replay_changes_nothing,
    assert_same_place,
    assert_settled,
    forbid_new_owners,
)
from tests.live import until

STORM_S = 30
CLIENTS = 60
PEOPLE = ("alice", "bob", "carol")
REDIS = "redis://127.0.0.1:6379/7"
PACED = "events=15,gap=0.03"


class Crowd:
    """Clients that stream one call after the other until told to stop, and remember what they saw."""

    def __init__(self, house) -> None:
        self.seen: list[Seen] = []
        self._house = house
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._stream, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _stream(self, n: int) -> None:
        who = PEOPLE[n % 3]
        while not self._stop.is_set():
            for talk in (RESPONSES, CHAT, MESSAGES):
                try:
                    self._one(talk, who)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.05)

    def _one(self, talk, who: str) -> None:
        with Client(self._house, who=who, timeout=20) as client:
            seen = Seen(talk, client.request_id, self._house.users[who])
            client.send(talk, PACED, **({"store": True} if talk is CHAT else {}))
            self.seen.append(seen)
            while piece := client.piece():
                seen.data += piece


def furnish_prices(house, *names):
    """Every model that is asked for costs something."""
    with house.app.app_context():
        for name in names:
            tariff = Tariff(Rates(input=2_000_000_000, output=10_000_000_000))
            prices.put(catalog.find_model(name).id, tariff, actor=None)
        db.session.remove()
    time.sleep(1.0)


def strike(house, journals) -> int:
    """Kill a random worker; return how many died. What its journal holds just before is kept aside."""
    for path in (house.settings.data_dir / "journal").glob("*.journal"):
        with suppress(FileNotFoundError):
            journals.append(path.read_bytes())
    workers = house.workers()
    if not workers:
        return 0
    with suppress(ProcessLookupError):
        os.kill(random.choice(workers), signal.SIGKILL)
    return 1


@pytest.mark.acceptance("B-4")
@pytest.mark.fault("X-1")
@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("kind", "workers"), [("postgresql", 2), ("sqlite", 1)])
def test_nothing_that_a_client_saw_is_lost(provider, sim, tmp_path, tell, kind, workers):
    shared = {"redis_url": REDIS} if workers > 1 else {}
    with live.database(kind, tmp_path, f"realms_storm_{os.getpid()}") as url:
        with live.open_house(tmp_path, url, provider, workers=str(workers), drain_s="3", **shared) as house:
            killed, journals, since = 0, [], provider.count()
            furnish_prices(house, "sim-*", "claude-*")
            forbid_new_owners(house)
            with Crowd(house) as crowd:
                end = time.monotonic() + STORM_S
                while time.monotonic() < end:
                    begun = len(crowd.seen)
                    until(lambda begun=begun: any(each.data for each in crowd.seen[begun + CLIENTS :]), seconds=30)
                    time.sleep(random.uniform(0.2, 0.6))
                    killed += strike(house, journals)
            seen = [each.read() for each in crowd.seen]
            ids, ends = sum(len(each.ids) for each in seen), sum(each.ended for each in seen)
            assert killed >= 3
            assert min(ids, ends) >= 100
            assert_owned(house, seen)
            assert_settled(house, seen)
            served = assert_accounted(house, since)
            balance = assert_balanced(house)
            tell(
                f"{kind}, workers: {workers}; {killed} killed in {STORM_S} s, {served} calls served, {ids} ids and {ends} ends "
                f"seen: none without owner, none without record; sums as the records"
            )
            assert balance["cost"] > 0
            some = [each for each in seen if each.ended and each.talk is not MESSAGES][-30:]
            assert assert_same_place(house, some, since) >= len(some)
            assert_no_ghosts(provider)
            for _ in range(2):
                assert_replay_changes_nothing(house, [journal for journal in journals if journal][-20:])
            for talk in TALKS:
                assert talk.ends in call(house, talk).body
