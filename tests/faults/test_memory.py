"""The kernel kills a worker for its memory, under sixty streaming clients: as if it had been killed by anybody else."""

import os
import time

import pytest

from app.extensions import db
from app.protocol.limit import Measure
from app.services import allowances
from tests import live
from tests.faults.clients import CHAT, TALKS, call, metric
from tests.faults.invariants import (
    assert_accounted,
    assert_no_ghosts,
    assert_owned,
    assert_settled,
    forbid_new_owners,
)
from tests.faults.memory import bound
from tests.faults.test_storm import CLIENTS, REDIS, Crowd
from tests.live import until

ROUNDS = 5
SERVED_S = 1.0
"""Within this a new call is served, though a worker has just died: the other one is there. Or within twice what the
slowest of a few calls took just before, where the machine has other work."""
BEFORE = 5
MORE_MB = 12
"""What a worker may take beyond what it has."""
READABLE = {"metrics_allow": "127.0.0.0/8"}
LARGE = b'{"input": "%b"}' % (b"x" * 30_000_000)
"""A request as large as is allowed, that is refused once it was read."""


def outgrow(house, bounded):
    """Let a worker outgrow its bound; return how long calls took before, how long the next took, and how long the
    server was short of a worker."""
    before = max(took(house) for _ in range(BEFORE))
    worker, kills = house.workers()[0], bounded.kills
    bounded.take_in(worker)
    while worker in house.workers():
        try:
            assert house.post("/v1/responses", LARGE, who="bob", content_type="application/json").status == 400
        except (OSError, live.http.client.HTTPException):
            continue  # it was this worker's
    died = time.monotonic()
    assert bounded.kills == kills + 1
    served = took(house)
    until(lambda: len(house.workers()) == 2, seconds=10)
    return before, served, time.monotonic() - died


def took(house):
    """Seconds of one call, connection and all."""
    since = time.monotonic()
    assert call(house, CHAT, "events=1", who="bob").status == 200
    return time.monotonic() - since


def held(house):
    """How many calls of Carol's are counted as under way."""
    told = house.ask("GET", "/v1/usage", who="carol").json()["limits"]
    return next(each for each in told if each["measure"] == "concurrent")["used"]


@pytest.mark.fault("X-6")
@pytest.mark.faults
@pytest.mark.timeout(300)
def test_a_worker_that_the_kernel_kills_takes_nothing_along_that_a_client_saw(provider, sim, tmp_path, tell):
    with (
        bound(MORE_MB) as bounded,
        live.database("postgresql", tmp_path, f"realms_memory_{os.getpid()}") as url,
        live.open_house(tmp_path, url, provider, workers="2", drain_s="3", redis_url=REDIS, **READABLE) as house,
    ):
        since = provider.count()
        forbid_new_owners(house)
        with house.app.app_context():
            allowances.put("user", house.users["carol"], most={Measure.CONCURRENT: 1000}, actor=None)
            db.session.remove()
        with Crowd(house) as crowd:
            times = [outgrow_under(house, bounded, crowd) for _ in range(ROUNDS)]
        ended = time.monotonic()
        seen = [each.read() for each in crowd.seen]
        ids, ends = sum(len(each.ids) for each in seen), sum(each.ended for each in seen)
        assert min(ids, ends) >= 100
        until(lambda: held(house) == 0, seconds=40, every=0.5)
        freed = time.monotonic() - ended
        assert_owned(house, seen)
        assert_settled(house, seen)
        calls = assert_accounted(house, since)
        tell(
            f"{ROUNDS} workers of two killed by the kernel: {calls} calls, {ids} ids and {ends} ends seen, none without "
            f"owner or record; a new call served {max(served for _, served, _ in times):.2f} s after at most, another "
            f"worker begun after {max(begun for *_, begun in times):.2f} s; what they held was free {freed:.0f} s after the storm"
        )
        assert all(served < max(SERVED_S, 2 * before) for before, served, _ in times), times
        assert_no_ghosts(provider)
        for talk in TALKS:
            assert talk.ends in call(house, talk).body


def outgrow_under(house, bounded, crowd):
    """The same, once two workers stand and all clients of the crowd stream again."""
    until(lambda: metric(house, "realms_workers") == 2, seconds=60, every=0.2)
    begun = len(crowd.seen)
    until(lambda: any(each.data for each in crowd.seen[begun + CLIENTS :]), seconds=30)
    return outgrow(house, bounded)
