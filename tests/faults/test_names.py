"""The name server dies: who was called before is called further, and nobody waits for a name but who needs it."""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.relay.names import THREADS_MAX
from app.services import catalog, upstreams
from tests import live
from tests.faults.clients import CHAT, call
from tests.faults.names import name_server

SILENT_S = 36
"""Longer than what a name server says is believed."""
CONNECT_S = 2


def furnish(house, provider):
    for name in ("near", "far"):
        made = upstreams.create(
            name=name,
            kind="openai",
            base_url=f"http://{name}.test:{provider.port}/{name}/v1",
            key=f"sim-{name}",
            priority=10,
            weight=1,
            actor=None,
        )
        catalog.import_models(made.id, {f"{name}-*": None}, actor=None)


def timed(house, model, options=""):
    began = time.monotonic()
    return call(house, CHAT, options, model=model, stream=False).status, time.monotonic() - began


def threads_of(house):
    (worker,) = house.workers()
    return len(list(Path(f"/proc/{worker}/task").iterdir()))


@pytest.mark.faults
@pytest.mark.fault("X-21")
@pytest.mark.timeout(180)
def test_a_dead_name_server_is_felt_by_those_alone_who_need_it(provider, sim, tmp_path, tell):
    with name_server(tmp_path) as (names, behind), live.database("sqlite", tmp_path, "names") as url:
        with live.open_house(tmp_path, url, provider, behind=behind, connect_s=str(CONNECT_S)) as house:
            house.changed(lambda: furnish(house, provider))
            assert timed(house, "near-1", "fault=no_length")[0] == 200
            quiet = [timed(house, "sim-1") for _ in range(40)]
            before, names.silent = threads_of(house), True
            near, others, threads = [], [], 0
            with ThreadPoolExecutor(30) as pool:
                end, far = time.monotonic() + SILENT_S, []
                while time.monotonic() < end:
                    if sum(not each.done() for each in far) < 30:
                        far.append(pool.submit(timed, house, "far-1"))
                    near.append(timed(house, "near-1", "fault=no_length"))  # on a connection of its own, each
                    others.append(timed(house, "sim-1"))
                    threads = max(threads, threads_of(house) - before)
                    time.sleep(0.05)
                far = [each.result() for each in far]
            names.silent = False
            live.until(lambda: timed(house, "far-1")[0] == 200, seconds=20)
            slowest = [max(took for _, took in each) for each in (near, others, far)]
            medians = [statistics.median(took for _, took in each) for each in (quiet, others)]
            tell(
                f"silent for {SILENT_S} s: {len(near)} calls by a name that was known, all served, the slowest in "
                f"{slowest[0]:.1f} s (a second is waited for news); {len(others)} by address, p50 "
                f"{medians[1] * 1000:.0f} ms (before {medians[0] * 1000:.0f} ms), the slowest in {slowest[1]:.2f} s; "
                f"{len(far)} by a name that wasn't known, refused within {slowest[2]:.1f} s; {threads} threads more"
            )
            assert {status for status, _ in near + others} == {200}
            assert {status for status, _ in far} <= {502, 504}
            assert names.unanswered > 0
            assert slowest[2] < CONNECT_S + 3
            assert slowest[1] < 2
            assert threads <= THREADS_MAX
