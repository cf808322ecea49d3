"""Traces where nobody takes them, or nothing is there to make them; whole ones are in ``contract/test_traces``."""

import sys
import time
from types import SimpleNamespace

import pytest
import structlog

from app.services.snapshot import EMPTY
from app.services.traces import Traces
from app.settings import traces_wanted
from tests.services.writing import record

AWAY = "http://127.0.0.1:9"


@pytest.fixture
def traces(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", AWAY)
    return Traces(SimpleNamespace(snapshot=EMPTY))


def test_a_receiver_that_is_away_holds_no_worker_up(traces):
    traces.start()
    for number in range(1, 200):
        traces.add(record(number))
    since = time.monotonic()
    traces.stop()
    assert time.monotonic() - since < 10


def test_without_the_extra_it_is_said_and_calls_go_on(traces, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with structlog.testing.capture_logs() as told:
        traces.start()
    assert [event["event"] for event in told] == ["traces_not_installed"]
    traces.add(record(1))
    traces.stop()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": AWAY}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": AWAY}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": AWAY, "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": AWAY, "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_only_a_named_receiver_is_told(monkeypatch, environment, wanted):
    for name in (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_SDK_DISABLED",
        "OTEL_TRACES_EXPORTER",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert traces_wanted() is wanted
