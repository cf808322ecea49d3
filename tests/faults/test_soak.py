"""Calls without end, a tenth of them left at random: afterwards everything is as it was before, and nothing is lost."""

import json
import os
import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, fields

import pytest

from app.extensions import db
from app.protocol.limit import Measure
from app.services import allowances
from tests import live
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, Client
from tests.faults.invariants import (
    Seen,
    assert_accounted,
    assert_balanced,
    assert_no_ghosts,
    assert_owned,
    assert_settled,
)
from tests.faults.servers import redis_server
from tests.faults.test_slow_readers import own_kb
from tests.faults.test_storm import PEOPLE, furnish_prices
from tests.live import until

CALLS = int(os.environ.get("REALMS_TEST_SOAK", "20000"))
ROUND = 5000
"""After so many calls the records are compared; the provider remembers no more than four times as many."""
CLIENTS = 16
LEFT = 0.1
REST_S = 60.0
CALLS_EACH = 20
"""Calls on one connection, where nobody leaves."""
MEMORY = 0.05
GROWN = 20
"""What two workers may come to need besides, and then keep: their pools start a thread where all others are busy, and
each is two greenlets. It doesn't grow with the calls: two hundred thousand need no more than sixty thousand."""


@dataclass(frozen=True)
class Held:
    """What a house holds when nobody wants anything of it."""

    descriptors: int
    greenlets: int
    redis_keys: int
    database_connections: int
    upstream_connections: int
    memory_kb: int

    def __str__(self) -> str:
        return ", ".join(f"{getattr(self, each.name)} {each.name.replace('_', ' ')}" for each in fields(self))


def held(house, redis) -> Held:
    workers = house.workers()
    paths = [house.settings.data_dir / f"held-{pid}.json" for pid in workers]
    for pid, path in zip(workers, paths, strict=True):
        path.unlink(missing_ok=True)
        os.kill(pid, signal.SIGRTMIN + 2)
    until(lambda: all(path.exists() for path in paths))
    told = [json.loads(path.read_text()) for path in paths]
    (row,) = house.rows(
        "SELECT COUNT(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    return Held(
        descriptors=sum(each["descriptors"] for each in told),
        greenlets=sum(each["greenlets"] for each in told),
        redis_keys=redis.client.dbsize(),
        database_connections=row["n"],
        upstream_connections=house.provider.control("GET", "stats")["connections"] - 1,  # who asks is one
        memory_kb=sum(map(own_kb, workers)),
    )


class Callers:
    """Clients that make so many calls between them, and remember what they saw."""

    def __init__(self, house, count: int) -> None:
        self._house = house
        self.seen: list[Seen] = []
        self.left = 0
        self._shares = [count // CLIENTS + (n < count % CLIENTS) for n in range(CLIENTS)]
        self._random = random.Random(count)
        self.broken: list[str] = []

    def run(self) -> None:
        threads = [threading.Thread(target=self._call, args=(n, share)) for n, share in enumerate(self._shares)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _call(self, n: int, share: int) -> None:
        who = PEOPLE[n % 3]
        while share > 0:
            with Client(self._house, who=who) as client:
                for _ in range(min(share, CALLS_EACH)):
                    share -= 1
                    leaves = self._random.random() < LEFT
                    if leaves:
                        self._leave(client, who)
                        break
                    self._hear(client, who)

    def _begin(self, client, who, options, *, stream) -> Seen:
        client.request_id = os.urandom(16).hex()
        talk = self._random.choice(TALKS)
        client.send(talk, options, stream=stream, **({"store": True} if talk is CHAT else {}))
        seen = Seen(talk, client.request_id, self._house.users[who])
        self.seen.append(seen)
        return seen

    def _hear(self, client, who) -> None:
        stream = self._random.random() < 0.5
        seen = self._begin(client, who, "events=3" if stream else "", stream=stream)
        body = client.rest()
        if client.answer.status != 200:
            self.broken.append(f"{client.answer.status}: {body[:200]!r}")
        elif stream:
            seen.data = body
            assert seen.read().ended
        else:
            seen.ended = True
            if seen.talk is not MESSAGES:
                seen.ids.add(("response" if seen.talk is RESPONSES else "chat.completion", json.loads(body)["id"]))

    def _leave(self, client, who) -> None:
        """Go at a moment that nobody foresees: before the answer, in the midst of it, or just behind its end."""
        self.left += 1
        stream = self._random.random() < 0.5
        seen = self._begin(client, who, "events=10,gap=0.01" if stream else "ttfb=0.05", stream=stream)
        end = time.monotonic() + self._random.uniform(0, 0.2)
        with suppress(TimeoutError):
            while stream and (left := end - time.monotonic()) > 0:
                client.sock.settimeout(left)
                if not (piece := client.piece()):
                    break
                seen.data += piece
        time.sleep(max(0, end - time.monotonic()))
        seen.read()


@dataclass
class Sums:
    """What all rounds came to."""

    calls: int = 0
    left: int = 0
    ids: int = 0
    ends: int = 0
    served: int = 0


def soak(house, count: int, sums: Sums) -> None:
    """Make so many calls, and compare the three records of them."""
    callers = Callers(house, count)
    callers.run()
    assert_no_ghosts(house.provider)
    assert callers.broken == []
    assert_owned(house, callers.seen)
    assert_settled(house, callers.seen)
    sums.served += assert_accounted(house, 0, before=sums.served)
    sums.calls += count
    sums.left += callers.left
    sums.ids += sum(len(each.ids) for each in callers.seen)
    sums.ends += sum(each.ended for each in callers.seen)
    house.provider.control("DELETE", "requests")


def rested(house, redis) -> Held:
    """Return what is held after a minute's rest."""
    time.sleep(REST_S)
    return held(house, redis)


@pytest.mark.fault("X-23")
@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_everything_is_as_it_was_after_all_calls(tmp_path, tell):
    with (
        live.open_provider() as provider,
        redis_server() as redis,
        live.database("postgresql", tmp_path, f"realms_soak_{os.getpid()}") as url,
        live.open_house(
            tmp_path,
            url,
            provider,
            workers="2",
            redis_url=redis.url,
            config="tests/faults/counting.conf.py",
        ) as house,
    ):
        furnish_prices(house, "sim-*", "claude-*")
        with house.app.app_context():
            allowances.put("user", house.users["carol"], most={Measure.CONCURRENT: 1000}, actor=None)
            db.session.remove()
        sums, began = Sums(), time.monotonic()
        soak(house, ROUND, sums)
        before = rested(house, redis)
        while sums.calls < CALLS:
            soak(house, min(ROUND, CALLS - sums.calls), sums)
            print(sums, held(house, redis), flush=True)
        took = time.monotonic() - began
        balance = assert_balanced(house)
        after = rested(house, redis)
        (twice,) = house.rows("SELECT COUNT(*) - COUNT(DISTINCT request_id) AS n FROM records")
    tell(
        f"{sums.calls} calls in {took:.0f} s, {sums.left} left at random; {sums.served} served, {sums.ids} ids and "
        f"{sums.ends} ends of streams seen: none without owner, none without record; a minute later {after}, before {before}"
    )
    assert twice["n"] == 0
    assert balance["cost"] > 0
    assert after.descriptors <= before.descriptors + GROWN
    assert after.greenlets <= before.greenlets + GROWN
    assert after.redis_keys <= before.redis_keys
    assert after.database_connections <= before.database_connections
    assert after.upstream_connections == before.upstream_connections == 0
    assert after.memory_kb <= before.memory_kb * (1 + MEMORY)
