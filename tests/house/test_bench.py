"""The stations that are measured alone can all be measured, and a call is placed as quickly as promised."""

import re
import subprocess
import sys

import pytest

from tests.live import ROOT

ONCE = "import bench.micro as micro; micro.STATION_S = 0; micro.main()"
PLACED_US = 50
"""What it may cost at most to place a call among a hundred routes; the least of many times is measured."""


@pytest.mark.slow
def test_every_station_can_be_measured_alone():
    ran = subprocess.run(
        [sys.executable, "-c", ONCE], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len([line for line in ran.stdout.splitlines() if " µs  " in line]) > 40


@pytest.mark.slow
def test_a_call_is_placed_among_a_hundred_routes_within_the_time_that_is_promised():
    command = [sys.executable, "-m", "bench.micro", "placing"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    took = {name: float(us) for us, name in re.findall(r"([\d.]+) µs  (placing, 100 .*)", ran.stdout)}
    assert len(took) == 3
    assert max(took.values()) < PLACED_US
