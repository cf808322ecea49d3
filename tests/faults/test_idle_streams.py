"""X-17: ten thousand streams that wait, on two workers; memory, time of the processor, and everybody else."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import live
from tests.faults.test_slow_readers import own_kb, timings
from tests.live import ROOT

STREAMS, CLIENTS = 10_000, 2
GAP_S = 60
NEEDED = 12_000
REDIS = "redis://127.0.0.1:6379/6"


def processor_s(pids):
    """Seconds of the processor that these processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


@pytest.mark.fault("X-17")
@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[1] < NEEDED,
    reason=f"fewer than {NEEDED} open files are allowed here: nothing was shown of ten thousand streams",
)
def test_ten_thousand_streams_wait_at_little_cost(tmp_path, tell):
    with live.open_provider() as provider, live.database("postgresql", tmp_path, f"realms_idle_{os.getpid()}") as url:
        with live.open_house(tmp_path, url, provider, workers="2", redis_url=REDIS, drain_s="3") as house:
            timings(house, 20)
            workers = house.workers()
            before = sum(map(own_kb, workers))
            each = str(STREAMS // CLIENTS)
            asked = [sys.executable, "-m", "tests.faults.idlers", str(house.port), house.tokens["alice"], each]
            asked += [f"events=4,gap={GAP_S}"]
            since = time.monotonic()
            clients = [subprocess.Popen(asked, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)]
            try:
                assert [client.stdout.readline() for client in clients] == ["open\n"] * CLIENTS
                opened_s = time.monotonic() - since
                memory = sum(map(own_kb, workers)) - before
                used, at = processor_s(workers), time.monotonic()
                time.sleep(30)
                share = (processor_s(workers) - used) / (time.monotonic() - at)
                busy = sorted(timings(house, 200))
                ended = [json.loads(client.communicate(timeout=400)[0]) for client in clients]
            finally:
                for client in clients:
                    client.kill()
                    client.wait()
    kinds = {(whole, size) for told in ended for whole, size, _ in told}
    tell(
        f"{STREAMS} streams open after {opened_s:.0f} s, {memory / STREAMS:.0f} KB each, {memory / 1024:.0f} MB in all; "
        f"{share * 100:.0f} % of one core for both workers; a short call's p50 {busy[100] * 1000:.0f} ms and p99 "
        f"{busy[197] * 1000:.0f} ms meanwhile; all ended whole, with the same number of bytes"
    )
    assert {whole for whole, _ in kinds} == {True}
    assert sum(n for told in ended for *_, n in told) == STREAMS
    assert len(kinds) == 1, kinds
    assert memory / STREAMS <= 60
    assert memory / 1024 <= 900
    assert share <= 0.5, "at ten times what it takes on a machine of its own"
