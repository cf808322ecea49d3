"""The stations that are measured alone can all be measured."""

import subprocess
import sys

import pytest

from tests.live import ROOT

ONCE = "import bench.micro as micro; micro.STATION_S = 0; micro.main()"


@pytest.mark.slow
def test_every_station_can_be_measured_alone():
    ran = subprocess.run(
        [sys.executable, "-c", ONCE], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert len([line for line in ran.stdout.splitlines() if " µs  " in line]) > 40
