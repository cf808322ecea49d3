"""Over which time a measure is counted, and for which models."""

import re
from datetime import UTC, datetime

import pytest

from app.protocol.limit import ALWAYS, Measure, Rule, counted, spans
from app.protocol.price import dollars, from_dollars
from app.protocol.usage import from_object


def seconds(*moment):
    return int(datetime(*moment, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("measure", "start", "end"),
    [
        (Measure.REQUESTS, (2026, 12, 31, 23, 59), (2027, 1, 1)),
        (Measure.TOKENS, (2026, 12, 31, 23, 59), (2027, 1, 1)),
        (Measure.DAY, (2026, 12, 31), (2027, 1, 1)),
        (Measure.WEEK, (2026, 12, 28), (2027, 1, 4)),
        (Measure.MONTH, (2026, 12, 1), (2027, 1, 1)),
    ],
)
def test_spans_begin_and_end_by_utc(measure, start, end):
    for now in (seconds(2026, 12, 31, 23, 59), seconds(2026, 12, 31, 23, 59, 59) + 0.999):
        span = spans(now)[measure]
        assert (span.start, span.end) == (seconds(*start), seconds(*end))


def test_some_things_are_counted_for_ever():
    found = spans(1_800_000_000.0)
    assert {measure for measure in Measure if found[measure] == ALWAYS} == {
        Measure.CONCURRENT,
        Measure.TOTAL,
        Measure.CONVERSATION,
    }


@pytest.mark.parametrize(
    ("narrow", "model", "covered"),
    [
        ("", "gpt-5", True),
        ("gpt-5", "gpt-5", True),
        ("gpt-5", "gpt-5-mini", False),
        ("gpt-*", "gpt-5", True),
        ("gpt-*", "g", False),
    ],
)
def test_a_rule_covers_all_models_or_one_or_a_beginning(narrow, model, covered):
    assert Rule("user", 1, Measure.REQUESTS, 5, narrow).covers(model) is covered


def test_tokens_read_from_a_cache_do_not_count():
    usage = from_object({"input_tokens": 100, "input_tokens_details": {"cached_tokens": 90}, "output_tokens": 7})
    assert counted(usage) == 17


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"), (1, "$0.000000001"), (12_500_000, "$0.0125"), (500_000_000, "$0.50"), (1_999_000_000, "$2.00"),
        (1_234_567_000_000, "$1,234.57"), (-3_000_000_000, "-$3.00"), (999_999_999, "$0.999999999"),
    ],
)  # fmt: skip
def test_money_is_written_as_people_read_it(nanos, text):
    assert dollars(nanos) == text


def test_money_is_read_exactly_or_not_at_all():
    assert [from_dollars(text) for text in ("5", "$0.25", "1,000", " 0.000000001 ")] == [
        5 * 10**9,
        250_000_000,
        10**12,
        1,
    ]
    for text in ("", "x", "-1", "NaN", "Infinity", "0.0000000001", "1e99"):
        with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
            from_dollars(text)
