"""Each call is a line, and who doesn't take the lines stops nobody."""

import json
import os
import sys
from pathlib import Path
from select import PIPE_BUF

import pytest

from app.protocol.record import End
from app.protocol.usage import UNKNOWN
from app.services import call_log
from app.services.call_log import CallLog
from tests.services.writing import record


def written(capfdbinary):
    return [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]


def test_a_line_tells_who_called_what_and_how_it_ended(capfdbinary):
    calls = CallLog()
    calls.add([record(1), record(2, end=End.REFUSED, status=429, attempts=(), usage=UNKNOWN, reason="模型\n")])
    assert written(capfdbinary) == [], "a write for each line would cost more than the line"
    calls.flush()
    first, second = written(capfdbinary)
    assert first == {
        "event": "call", "timestamp": "2027-01-15T08:00:00.250000Z", "call": record(1).id, "request_id": "req_1",
        "user": 1, "token": 1, "endpoint": "responses.create", "model": "m", "upstream": 2, "status": 200,
        "end": "completed", "reason": "", "first_byte_ms": None, "total_ms": 12, "input": 2, "output": 4,
    }  # fmt: skip
    assert (second["upstream"], second["status"], second["end"], second["input"]) == (None, 429, "refused", None)
    assert second["reason"] == "模型\n"


def test_lines_that_nobody_takes_are_counted_and_not_kept(capfdbinary, monkeypatch):
    monkeypatch.setattr(call_log, "LINES_MAX", 3)
    calls = CallLog()
    calls.add(record(n) for n in range(5))
    calls.flush()
    *kept, last = written(capfdbinary)
    assert len(kept) == 3
    assert last == {"event": "log_lines_dropped", "count": 2}


def test_lines_of_two_processes_never_run_into_each_other(monkeypatch):
    pieces = []
    monkeypatch.setattr(os, "write", lambda _, piece: pieces.append(piece))
    calls = CallLog()
    calls.add(record(n, model="m" * 200) for n in range(100))
    calls.flush()
    assert len(pieces) < 20
    assert all(len(piece) <= PIPE_BUF and piece.endswith(b"}\n") for piece in pieces)
    assert len(b"".join(pieces).splitlines()) == 100


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_no_failure_and_told_of_once_there_is_room(capfdbinary):
    calls = CallLog()
    out = sys.stdout.fileno()
    kept = os.dup(out)
    with Path("/dev/full").open("wb", buffering=0) as full:
        os.dup2(full.fileno(), out)
    try:
        calls.add([record(1)])
        calls.flush()
    finally:
        os.dup2(kept, out)
        os.close(kept)
    calls.flush()
    assert written(capfdbinary) == [{"event": "log_lines_dropped", "count": 1}]
