"""The limit of a list: a small number in decimal digits, or the caller's error."""

import pytest

from app.protocol.errors import Problem, RelayError
from app.protocol.paging import limit_of


@pytest.mark.parametrize(("told", "limit"), [(None, 20), ("1", 1), ("100", 100), ("000000007", 7)])
def test_a_limit_within_bounds_is_taken(told, limit):
    assert limit_of(told, most=100) == limit


@pytest.mark.parametrize(
    "told", ["", "0", "101", "-1", "1.0", " 1", "x", "²", "9" * 100, "0000000010", "1" + "0" * 5000]
)
def test_any_other_is_refused_by_name(told):
    with pytest.raises(RelayError) as refused:
        limit_of(told, most=100)
    assert (refused.value.problem, refused.value.param) == (Problem.INVALID_VALUE, "limit")
