"""An upstream's wish to be left alone counts where it makes sense, wherever it stands."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstreams.reset import RETRY_AFTER_MAX, reset_s, retry_after


def soon(seconds):
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "1.2"}, 2),
        ({"retry-after-ms": "1500"}, 2),
        ({"retry-after-ms": "1500", "retry-after": "60"}, 2),
        ({"retry-after-ms": "x", "retry-after": "60"}, 60),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, 1000),
        ({"retry-after": str(RETRY_AFTER_MAX + 1)}, None),
    ],
)
def test_a_number_of_seconds_counts_where_it_makes_sense(headers, seconds):
    assert retry_after(headers) == seconds


def test_a_date_counts_too():
    assert retry_after({"retry-after": format_datetime(soon(30), usegmt=True)}) in range(28, 32)


@pytest.mark.parametrize(
    ("headers", "error", "seconds"),
    [
        ({}, {}, None),
        ({"retry-after": "3"}, {"resets_in_seconds": 60}, 3),
        ({}, {"resets_in_seconds": 60}, 60),
        ({}, {"resets_in_seconds": "60"}, 60),
        ({}, {"resets_in_seconds": -1}, None),
        ({}, {"resets_in_seconds": 10**12}, None),
        ({}, {"resets_in_seconds": []}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, {}, 360),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20ms"}, {}, 0.02),
        ({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "6m0s"}, {}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}, {}, 3723.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, {}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, {}, None),
    ],
)
def test_a_limit_ends_when_the_upstream_says(headers, error, seconds):
    assert reset_s(headers, error) == seconds


def test_moments_count_as_well_as_durations():
    assert reset_s({}, {"resets_at": soon(90).timestamp()}) == pytest.approx(90, abs=2)
    headers = {
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-tokens-reset": soon(45).isoformat().replace("+00:00", "Z"),
        "anthropic-ratelimit-requests-remaining": "3",
        "anthropic-ratelimit-requests-reset": soon(450).isoformat(),
    }
    assert reset_s(headers, {}) == pytest.approx(45, abs=2)


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens"]), st.text()))
def test_nonsense_is_no_time(headers):
    told = reset_s(headers | {"x-ratelimit-remaining-tokens": "0"}, {"resets_at": headers})
    assert told is None or told > 0
