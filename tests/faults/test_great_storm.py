"""Five thousand calls with faults, failovers, clients that leave and workers that are killed: three records agree."""

import http.client
import os
import random
import re
import threading
import time
from collections import Counter

import pytest

from app.services import catalog
from tests import live
from tests.contract.pairs import furnish, model_of
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, Client
from tests.faults.invariants import (
    SETTLED_S,
    Seen,
    assert_balanced,
    assert_no_ghosts,
    assert_owned,
    assert_replay_changes_nothing,
    assert_settled,
)
from tests.faults.servers import redis_server
from tests.faults.test_storm import PEOPLE, furnish_prices, strike
from tests.live import until

CALLS = int(os.environ.get("REALMS_TEST_STORM_CALLS", "5000"))
CLIENTS = 40
PACE = "events=4,gap=0.02"
FAULTS = {"status=500": 0.06, "status=429": 0.03, "reset": 0.04, "error_first:529": 0.04, "no_terminal:3": 0.04}
"""What happens at the provider that is asked first, and how often; the other is well."""
LEAVE = 0.06
MARK = re.compile(r'"(?:call|user_id)": ?"([0-9a-f]{32})"')


def serve_twice(house, provider):
    """Each model has an upstream that is asked first, for which faults are planned, and one that is well."""
    furnish(house, provider)
    for kind, pattern in (("openai", "pair-*"), ("anthropic", "claude-pair-*")):
        for name in ("bad", "good"):
            catalog.import_models(house.upstreams[f"{name} {kind}"], {pattern: None}, actor=None)


class Crowd:
    """Clients that make so many calls between them; some leave in the middle."""

    def __init__(self, house) -> None:
        self.seen: list[Seen] = []
        self.left = self.begun = 0
        self._house = house
        self._turns = iter(range(CALLS))
        self._threads = [threading.Thread(target=self._work) for _ in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        for turn in self._turns:
            try:
                self._one((RESPONSES, CHAT, MESSAGES)[turn % 3], PEOPLE[turn % len(PEOPLE)])
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)

    def _one(self, talk, who: str) -> None:
        with Client(self._house, who=who, timeout=30) as client:
            seen = Seen(talk, client.request_id, self._house.users[who])
            mark = {"user_id" if talk is MESSAGES else "call": client.request_id}
            stored = {"store": True} if talk is CHAT else {}
            client.send(talk, PACE, model=model_of(talk), metadata=mark, **stored)
            self.seen.append(seen)
            while piece := client.piece():
                self.begun += not seen.data
                seen.data += piece
                if random.random() < LEAVE / 4:
                    self.left += 1
                    return


def assert_every_call_has_one_record(house, provider, since):
    """Every call that any provider took on has one record, whoever died meanwhile; return how many that are."""
    bodies = [each["body"] for each in provider.requests(since)]
    served = Counter(mark for body in bodies for mark in MARK.findall(body))

    def recorded():
        found = Counter(row["request_id"] for row in house.rows("SELECT request_id FROM records"))
        return all(found[mark] == 1 for mark in served) and found

    until(recorded, seconds=SETTLED_S * 2, every=1.0)
    return served


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_three_records_agree_after_five_thousand_calls(provider, sim, tmp_path):
    with (
        redis_server() as shared,
        live.database("postgresql", tmp_path, f"realms_great_storm_{os.getpid()}") as url,
        live.open_house(tmp_path, url, provider, workers="2", drain_s="3", redis_url=shared.url) as house,
    ):
        house.changed(lambda: serve_twice(house, provider))
        furnish_prices(house, "pair-*", "claude-pair-*")
        since, killed, journals = provider.count(), 0, []
        for fault, rate in FAULTS.items():
            provider.control("POST", "faults", {"fault": fault, "rate": rate, "path": "/bad"})
        crowd = Crowd(house)
        crowd.start()
        while crowd.busy:
            enough = crowd.begun + random.randrange(
                40, 120
            )  # counted, not timed: a killed worker's successor must serve
            while crowd.busy and crowd.begun < enough:
                time.sleep(0.02)
            killed += strike(house, journals)
        sim.control("DELETE", "faults")
        seen = [each.read() for each in crowd.seen]
        ends = sum(each.ended for each in seen)
        served = assert_every_call_has_one_record(house, provider, since)
        assert_owned(house, seen)
        assert_settled(house, seen)
        balance = assert_balanced(house)
        assert_no_ghosts(provider)
        for _ in range(2):
            assert_replay_changes_nothing(house, [journal for journal in journals if journal][-20:])
        failovers = house.rows("SELECT COUNT(*) AS n FROM attempts WHERE n > 0")[0]["n"]
        how = {row["end"]: row["n"] for row in house.rows('SELECT "end", COUNT(*) AS n FROM records GROUP BY "end"')}
        print(f"{len(seen)} calls, {killed} kills, {crowd.left} left, {failovers} failovers; {ends} ends seen")
        print(f"{len(served)} calls in {sum(served.values())} requests at the provider; records: {how}; {balance}")
        assert killed >= 2
        assert min(crowd.left, failovers) >= CALLS // 100
