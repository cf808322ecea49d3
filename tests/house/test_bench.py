"""The stations that are measured alone can all be measured, and a call is placed as quickly as promised."""

import re
import subprocess
import sys
import timeit

import pytest

from bench.pages import addresses
from tests.live import ROOT

ONCE = "import bench.micro as micro; micro.STATION_S = 0; micro.main()"
PLACED_US = 50
"""What it may cost at most to place a call among a hundred routes; the least of many times is measured."""
LOOP = "for number in range(1000): number + 1"
LOOP_US = 20
"""What this loop costs where that was promised, with nothing else to do: a busy processor is slower for both."""
TRIES = 6


@pytest.mark.slow
def test_every_station_can_be_measured_alone():
    ran = subprocess.run(
        [sys.executable, "-c", ONCE], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len([line for line in ran.stdout.splitlines() if " µs  " in line]) > 40


def test_every_page_is_among_those_whose_time_is_taken(app):
    taken = list(addresses(app, "0" * 32))
    assert {"/", "/usage", "/admin", "/admin/users", "/admin/announcements/1/delete"} <= set(taken)
    assert not [path for path in taken if "<" in path]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_call_is_placed_among_a_hundred_routes_within_the_time_that_is_promised():
    seen = []
    for _ in range(TRIES):
        loop_us = min(timeit.repeat(LOOP, number=20, repeat=200)) / 20 * 1e6
        seen.append(most_to_place() / max(1, loop_us / LOOP_US))
        if seen[-1] < PLACED_US:
            break
    assert min(seen) < PLACED_US, seen


def most_to_place():
    """What it costs to place a call among a hundred routes, however many of them are out."""
    command = [sys.executable, "-m", "bench.micro", "placing"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)
    took = {name: float(us) for us, name in re.findall(r"([\d.]+) µs  (placing, 100 .*)", ran.stdout)}
    assert len(took) == 3
    return max(took.values())
