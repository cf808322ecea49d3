"""The log holds nobody up: a reader that has stopped, and a disk that is full, cost lines and nothing else."""

import os
from pathlib import Path

import pytest

from app.logs import EVENTS, Out


@pytest.fixture
def dropped():
    """How many lines were dropped since the test began."""
    before = EVENTS.get("log_lines_dropped", 0)
    return lambda: EVENTS.get("log_lines_dropped", 0) - before


def test_a_pipe_that_nobody_reads_is_not_waited_for(dropped):
    read, write = os.pipe()
    with os.fdopen(read, "rb"), os.fdopen(write, "wb") as file:
        out = Out(file)
        for _ in range(100):
            out.write(b"x" * 2000 + b"\n")  # a pipe holds 64 KB
        assert 50 < dropped() < 100


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_no_failure(dropped):
    with Path("/dev/full").open("wb", buffering=0) as file:
        Out(file).write(b"line\n")
    assert dropped() == 1


def test_what_is_taken_is_written(tmp_path, dropped):
    with (tmp_path / "log").open("wb") as file:
        Out(file).write(b"line\n")
        assert (tmp_path / "log").read_bytes() == b"line\n"
    assert dropped() == 0
