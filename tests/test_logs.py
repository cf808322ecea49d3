"""The log holds nobody up: a reader that has stopped, and a disk that is full, cost lines and nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.logs import EVENTS, Out
from tests.live import ROOT


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


@pytest.mark.acceptance("I-8")
def test_a_trace_in_the_log_shows_no_value(tmp_path):
    script = """
import structlog
from app import logs
from pydantic import SecretStr

def fail(token):
    kept = SecretStr(token)
    raise RuntimeError(f"with {kept}")

logs.configure()
try:
    fail("hunter" + "22")
except RuntimeError as error:
    structlog.get_logger().error("internal_error", exc_info=error)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert "RuntimeError" in json.loads(line)["exception"]
    assert "hunter22" not in line
