"""What accounts tell of their allowance."""

import json

import pytest

from app.upstreams.codex_quota import UNKNOWN, Quota, Window, of_headers, of_usage

NOW = 1_000_000.0


def told(primary, secondary=None):
    names = ("used-percent", "reset-after-seconds", "window-minutes")
    pairs = {"primary": primary, "secondary": secondary}
    return {
        f"x-codex-{which}-{name}": str(value)
        for which, values in pairs.items()
        if values
        for name, value in zip(names, values, strict=True)
    }


def test_windows_are_told_by_their_length_whatever_they_are_called():
    quota = of_headers(told((30, 400_000, 10_080), (12.5, 9000, 300)), now=NOW)
    assert quota == Quota(Window(12.5, NOW + 9000, 300), Window(30, NOW + 400_000, 10_080))


def test_answers_that_tell_nothing_or_nonsense():
    assert of_headers({"x-codex-turn-state": "t"}, now=NOW) is None
    assert of_headers(told(("nan", "x", 300)), now=NOW) == Quota()
    assert of_headers(told((5, 60, 1000)), now=NOW) == Quota(), "neither hours nor a week"


def test_the_usage_page():
    window = {"used_percent": 40, "limit_window_seconds": 18_000, "reset_at": NOW + 60}
    page = {"plan_type": "plus", "rate_limit": {"primary_window": window, "secondary_window": None}}
    assert of_usage(json.dumps(page).encode(), now=NOW) == Quota(Window(40, NOW + 60, 300))
    for broken in (b"x", b"[]", b"{}", b'{"rate_limit":7}'):
        with pytest.raises(ValueError, match="usage"):
            of_usage(broken, now=NOW)


@pytest.mark.parametrize(
    ("told_of", "known"),
    [
        ({"has_credits": True, "unlimited": False, "balance": "12.50"}, "12.50"),
        ({"has_credits": True, "unlimited": True, "balance": None}, "unlimited"),
        ({"has_credits": False, "unlimited": False, "balance": "0"}, ""),
        ({"has_credits": True, "balance": "9" * 500}, "9" * 20),
        (None, ""),
        ([7], ""),
    ],
)
def test_credits_are_told_by_the_usage_page(told_of, known):
    page = {"rate_limit": None, "credits": told_of}
    assert of_usage(json.dumps(page).encode(), now=NOW).credits == known


def test_windows_of_no_length_are_the_usual_ones():
    window = {"used_percent": 40, "reset_at": NOW + 60}
    page = {"rate_limit": {"primary_window": window, "secondary_window": window}}
    usual = Quota(Window(40, NOW + 60, 300), Window(40, NOW + 60, 10_080))
    assert of_usage(json.dumps(page).encode(), now=NOW) == usual
    bare = {name: value for name, value in told((40, 60, 0), (40, 60, 0)).items() if "minutes" not in name}
    assert of_headers(bare, now=NOW) == usual


def willing(*windows):
    return Quota(*windows).willingness(NOW)


def test_who_has_most_left_for_the_time_left_is_most_willing():
    half = NOW + 150 * 60
    on_pace, behind, ahead = (willing(Window(used, half, 300)) for used in (50, 10, 90))
    assert behind > on_pace > ahead > 0
    assert on_pace == UNKNOWN == willing()
    assert willing(Window(100, half, 300)) == 0
    assert willing(Window(100, NOW - 1, 300)) == on_pace, "begun anew"
    assert willing(Window(0, half, 300), Window(100, NOW + 9, 10_080)) == 0, "the tighter one counts"
