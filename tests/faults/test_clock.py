"""X-14: the clock jumps to and fro under running streams: none is cut, and no time is negative."""

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import live
from tests.faults.clients import TALKS, call
from tests.live import until

JUMPS = (600, 0, -600, 0, 86_400, 0, -86_400, 0)
"""In seconds, from the true time."""
STREAMS = 12
pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


@pytest.mark.fault("X-14")
@pytest.mark.skipif(shutil.which("cc") is None, reason="no compiler is installed: nothing was shown of a jumping clock")
def test_no_jump_of_the_clock_cuts_a_stream_or_makes_a_time_negative(provider, sim, tmp_path, tell):
    clock, library = tmp_path / "clock", tmp_path / "clock.so"
    clock.write_text("0")
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    with live.database("sqlite", tmp_path, "clock") as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        patch.setenv("MOVED_CLOCK", str(clock))
        with live.open_house(tmp_path, url, provider, drain_s="3") as house, ThreadPoolExecutor(STREAMS) as pool:
            running = [pool.submit(call, house, TALKS[n % 3], "events=50,gap=0.4") for n in range(STREAMS)]
            until(lambda: sim.control("GET", "stats")["open"] == STREAMS, seconds=30)
            between = []
            for jump in JUMPS:
                clock.write_text(str(jump))
                time.sleep(1.5)
                between.append(call(house, TALKS[len(between) % 3], "events=2"))
            whole = [each.result(90) for each in running]
            for got in (*whole, *between):
                house.record(got.request_id)
            rows = house.rows("SELECT at, total_ms, first_byte_ms FROM records")
    days = {str(row["at"])[:10] for row in rows}
    tell(
        f"{len(JUMPS)} jumps under {STREAMS} streams: {sum(got.status == 200 for got in whole)} whole, "
        f"{sum(got.status == 200 for got in between)} of {len(between)} calls in between served, "
        f"the longest time of a record {max(row['total_ms'] for row in rows) / 1000:.0f} s"
    )
    assert len(days) >= 3, "the clock has jumped"
    for n, got in enumerate(whole):
        assert TALKS[n % 3].ends in got.body
    assert {got.status for got in between} == {200}
    for row in rows:
        assert 0 <= row["first_byte_ms"] <= row["total_ms"] < 120_000
