"""X-11, X-12: the database is killed, has no connection left, or no disk; nothing that a client saw is lost."""

import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests import databases, live
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, call
from tests.faults.disks import disk
from tests.faults.invariants import (
    Seen,
    assert_accounted,
    assert_balanced,
    assert_no_ghosts,
    assert_owned,
    assert_settled,
)
from tests.faults.servers import cluster
from tests.faults.test_storm import Crowd
from tests.live import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


def seen_by(crowd):
    return [each.read() for each in crowd.seen]


def assert_nothing_lost(house, seen, since):
    assert_owned(house, seen)
    assert_settled(house, seen)
    served = assert_accounted(house, since)
    assert_balanced(house)
    assert_no_ghosts(house.provider)
    return served


@pytest.mark.fault("X-11")
def test_a_database_that_is_killed_and_started_again_has_lost_nothing(provider, sim, tmp_path, tell):
    with cluster() as server:
        databases.migrate(server.url)
        with live.open_house(tmp_path, server.url, provider, drain_s="3") as house:
            since = provider.count()
            with Crowd(house) as crowd:
                until(lambda: sum(each.data != b"" for each in crowd.seen) > 120, seconds=60)
                server.crash()
                time.sleep(3)
                server.start()
                back = time.monotonic()
                until(lambda: call(house, RESPONSES, stream=False).status == 200, seconds=30, every=0.1)
                took = time.monotonic() - back
                enough = len(crowd.seen) + 120
                until(lambda: len(crowd.seen) > enough, seconds=60)
            seen = seen_by(crowd)
            served = assert_nothing_lost(house, seen, since)
    ids, ends = sum(len(each.ids) for each in seen), sum(each.ended for each in seen)
    tell(
        f"killed for 3 s under 60 clients: {served} calls served, {ids} ids and {ends} ends seen, none without owner or "
        f"record; creates served again {took:.1f} s after it was back"
    )


@pytest.mark.fault("X-11")
def test_a_database_without_a_free_connection_is_waited_for_by_nobody(provider, sim, tmp_path, tell):
    with cluster() as server:
        databases.migrate(server.url)
        server.stop()
        server.start("max_connections=20", "superuser_reserved_connections=0")
        with live.open_house(tmp_path, server.url, provider, drain_s="3") as house:
            others = []
            try:
                while True:
                    others.append(psycopg.connect(server.url.replace("+psycopg", ""), connect_timeout=2))
            except psycopg.OperationalError:
                pass
            told, slowest = Counter(), 0.0
            for n in range(60):
                since = time.monotonic()
                told[call(house, (CHAT, MESSAGES, RESPONSES)[n % 3], "events=2", stream=bool(n % 2)).status] += 1
                slowest = max(slowest, time.monotonic() - since)
            for other in others:
                other.close()
            until(lambda: call(house, RESPONSES, stream=False).status == 200, seconds=30, every=0.1)
    tell(f"{len(others)} connections taken by others: {dict(told)} of 60 calls, the slowest after {slowest:.1f} s")
    assert set(told) <= {200, 503, 529}
    assert told[200] >= 40, "what stores nothing is served"


@pytest.mark.fault("X-12")
def test_a_database_whose_disk_is_full_costs_no_record(provider, sim, tmp_path, tell):
    (tmp_path / "house").mkdir()
    with disk(Path(tempfile.mkdtemp(prefix="realms-disk-")), 160) as small, cluster(small.folder) as server:
        databases.migrate(server.url)
        with live.open_house(tmp_path / "house", server.url, provider, drain_s="3") as house:
            since, told = provider.count(), Counter()
            with Crowd(house) as crowd:
                until(lambda: sum(each.data != b"" for each in crowd.seen) > 60, seconds=60)
                small.fill()
                full = time.monotonic()
                while time.monotonic() - full < 15:
                    told[call(house, RESPONSES, stream=False, who="bob").status] += 1
                    time.sleep(0.1)
                small.clear()
                if not server.runs:
                    server.start()
                back = time.monotonic()
                until(lambda: call(house, RESPONSES, stream=False).status == 200, seconds=60, every=0.2)
                took = time.monotonic() - back
            seen = seen_by(crowd)
            assert_nothing_lost(house, seen, since)
    tell(
        f"the database's disk full for 15 s: creates answered {dict(told)}; {len(seen)} calls, none lost; "
        f"creates served {took:.1f} s after there was room again"
    )
    assert set(told) <= {200, 503}


@pytest.mark.fault("X-12")
def test_a_full_disk_under_journal_and_log_refuses_new_calls_and_ends_no_stream(provider, sim, tmp_path, tell):
    (tmp_path / "small").mkdir()
    with (
        live.database("postgresql", tmp_path, f"realms_full_{live.free_port()}") as url,
        disk(tmp_path / "small", 16) as small,
        live.open_house(small.folder, url, provider, drain_s="3") as house,
    ):
        assert call(house, CHAT).status == 200
        with ThreadPoolExecutor(20) as pool:
            running = [pool.submit(call, house, talk, "events=30,gap=0.4") for talk in (CHAT, MESSAGES) * 10]
            until(lambda: sim.control("GET", "stats")["open"] == 20, seconds=30)
            small.fill()
            told = Counter()
            full = time.monotonic()
            while time.monotonic() - full < 6:
                told[call(house, CHAT, "events=2", who="bob").status] += 1
                time.sleep(0.05)
            waited = max(_timed(house) for _ in range(20))
            whole = [each.result(60) for each in running]
        small.clear()
        until(lambda: call(house, CHAT).status == 200, seconds=30, every=0.2)
        seen = []
        for talk, got in zip((CHAT, MESSAGES) * 10, whole, strict=True):
            seen.append(Seen(talk, got.request_id, house.users["alice"], got.body).read())
            seen[-1].ids.clear()
        assert_settled(house, seen)
    tell(
        f"the disk of journal and log full: {sum(each.ended for each in seen)} of 20 streams whole and on record, "
        f"new calls answered {dict(told)}, /livez within {waited:.2f} s"
    )
    assert all(each.ended for each in seen)
    assert set(told) <= {200, 503}
    assert told[503] > 0
    assert waited < 1


def _timed(house):
    since = time.monotonic()
    live.ask(house.port, "GET", "/livez")
    return time.monotonic() - since
