"""The numbers of all workers of a host, together."""

import os
import subprocess
import sys
import time

import gevent
import msgspec
import pytest

from app.logs import EVENTS
from app.services import metrics as module
from app.services.meter import Meter
from app.services.metrics import METRICS, Metrics, Share, forget
from tests.house.test_docs import rows
from tests.services.writing import record

CALLS = 'realms_calls_total{endpoint="responses.create",status="200",end="completed"}'


@pytest.fixture
def meter():
    return Meter()


@pytest.fixture
def metrics(tmp_path, meter):
    return Metrics(tmp_path, meter, {"realms_calls_running": lambda: 3, "realms_snapshot_age_seconds": lambda: 0.25})


def told(metrics):
    lines = [line for line in metrics.text().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def beside(folder, pid, **gauges):
    """The file of another worker."""
    share = Share(pid, {CALLS: 5}, {"realms_workers": 1, **gauges})
    (folder / f"{pid}-x.json").write_bytes(msgspec.json.encode(share))


def test_every_worker_is_added_up(metrics, meter, tmp_path):
    meter.count(record(1))
    beside(tmp_path, os.getppid(), realms_calls_running=4, realms_snapshot_age_seconds=0.5)
    found = told(metrics)
    assert found[CALLS] == 6
    assert found["realms_workers"] == 2
    assert found["realms_calls_running"] == 7
    assert found["realms_snapshot_age_seconds"] == 0.5


def test_a_dead_worker_leaves_its_counts_and_nothing_else(metrics, tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    beside(tmp_path, gone.pid, realms_calls_running=9)
    found = told(metrics)
    assert found[CALLS] == 5
    assert found["realms_workers"] == 1
    assert found["realms_calls_running"] == 3


def test_a_worker_that_has_written_nothing_for_a_while_is_late_by_that(metrics, tmp_path):
    beside(tmp_path, os.getppid(), realms_loop_lag_seconds=0.1)
    assert told(metrics)["realms_loop_lag_seconds"] == 0.1
    then = time.time() - 30
    os.utime(tmp_path / f"{os.getppid()}-x.json", (then, then))
    assert told(metrics)["realms_loop_lag_seconds"] == pytest.approx(29, abs=1)


def test_a_worker_is_known_to_the_others_from_its_beginning(metrics, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY_S", 60.0)  # it may stand still before its first minute is over
    metrics.start()
    with gevent.Timeout(10):
        while not list(tmp_path.glob("*.json")):
            gevent.sleep(0.01)


def test_what_a_worker_wrote_itself_is_not_added_to_what_it_knows(metrics, meter):
    meter.count(record(1))
    metrics._write(msgspec.json.encode(metrics._own()))
    assert told(metrics)[CALLS] == 1


def test_a_file_that_is_no_share_is_passed_over(metrics, tmp_path):
    (tmp_path / "1-x.json").write_text("{")
    (tmp_path / "2-x.json").write_text("[]")
    assert told(metrics)["realms_workers"] == 1


def test_a_start_begins_anew(metrics, tmp_path):
    beside(tmp_path, os.getppid())
    forget(tmp_path)
    assert CALLS not in told(metrics)


@pytest.mark.acceptance("I-5")
def test_every_metric_is_told_with_its_type_and_is_in_the_docs(metrics, meter, monkeypatch):
    meter.count(record(1, first_byte_ms=1))
    monkeypatch.setitem(EVENTS, "redis_away", 2)
    text = metrics.text()
    assert 'realms_events_total{event="redis_away"} 2' in text
    for name, (kind, meaning) in METRICS.items():
        assert f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n" in text
    documented = {cells[0].strip("`"): cells for cells in rows("metrics.md") if cells[0].startswith("`realms_")}
    assert {name: (cells[1], cells[3]) for name, cells in documented.items()} == METRICS
