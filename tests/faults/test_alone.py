"""Realms calls nobody but whom it was told to: in a network without anybody else no packet is lost."""

import subprocess
import sys

import pytest

from tests.live import ROOT

APART = ["unshare", "--net", "--map-root-user"]


@pytest.mark.acceptance("L-6")
def test_no_packet_leaves_for_anywhere_that_was_not_set(tmp_path):
    if subprocess.run([*APART, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network of its own can be made here")
    asked = [*APART, sys.executable, "-m", "tests.faults.alone", str(tmp_path)]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lost, with_a_stranger = map(int, done.stdout.split())
    assert lost == 0
    assert with_a_stranger > 0, "what is looked for can be seen"
