"""A worker counts its calls; nothing that a caller sends makes a new name."""

import pytest

from app.protocol.record import End
from app.services.meter import BOUNDS_MS, Histogram, Meter
from tests.services.writing import record


def test_calls_attempts_tokens_and_cost_are_counted():
    meter = Meter()
    meter.count(record(1, cost=1_500_000_000, first_byte_ms=40))
    meter.count(record(2, status=503, end=End.REFUSED))
    told = meter.samples()
    assert told['realms_calls_total{endpoint="responses.create",status="200",end="completed"}'] == 1
    assert told['realms_calls_total{endpoint="responses.create",status="503",end="refused"}'] == 1
    assert told['realms_attempts_total{upstream="1",ok="false"}'] == 2
    assert told['realms_attempts_total{upstream="2",ok="true"}'] == 2
    assert told['realms_tokens_total{kind="output"}'] == 8
    assert told["realms_cost_dollars_total"] == 1.5
    assert told["realms_call_seconds_count"] == 2
    assert told["realms_first_byte_seconds_count"] == 1


@pytest.mark.acceptance("I-4")
def test_i4_what_callers_make_up_makes_no_new_name():
    meter = Meter()
    meter.count(record(0))
    names = set(meter.samples())
    for number in range(1000):
        meter.count(record(number, model=f"made-up-{number}", request_id=f"x{number}", reason=f"no {number}"))
    assert set(meter.samples()) == names


def test_a_bucket_holds_what_is_at_most_its_bound():
    spans = Histogram()
    for ms in (0, 50, 51, BOUNDS_MS[-1] + 1):
        spans.add(ms)
    told = dict(spans.samples("x"))
    assert told['x_bucket{le="0.05"}'] == 2
    assert told['x_bucket{le="0.1"}'] == 3
    assert told['x_bucket{le="1800.0"}'] == 3
    assert told['x_bucket{le="+Inf"}'] == told["x_count"] == 4
    assert told["x_sum"] == (50 + 51 + BOUNDS_MS[-1] + 1) / 1000
