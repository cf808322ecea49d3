"""Who is left out, since when and until when; moments are given, so that nothing here waits for them."""

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.services import health as module
from app.services.board import Alone
from app.services.health import REST_MAX_S, Health, State
from app.upstreams.verdict import Scope, Verdict
from tests.services.boards import Wall

T = 1_000_000.0
KEY = "u:1"
FAILURES, WINDOW_S = 3, 30.0


def verdict(**more):
    return Verdict(scope=Scope.UPSTREAM, reason="status_500", **more)


REFUSED = verdict(at_once=True)


def fresh(board=None, cooldown_s=30.0):
    return Health(board or Alone(), cooldown_s=cooldown_s, failures=FAILURES, window_s=WINDOW_S)


def at_rest(**more):
    health = fresh(**more)
    health.failed(KEY, REFUSED, T, trial=False)
    return health


def test_one_failure_is_no_reason_to_leave_anybody_out():
    health = fresh()
    for n in range(FAILURES - 1):
        health.failed(KEY, verdict(), T + n, trial=False)
    assert health.state([KEY], T) is State.READY
    health.failed(KEY, verdict(), T + FAILURES, trial=False)
    assert health.state([KEY], T + FAILURES) is State.OUT


def test_the_reason_is_the_one_that_lasts():
    """A limit met by the call that tried out whoever had failed: what is told is the limit."""
    health = at_rest()
    limited = Verdict(scope=Scope.CREDENTIAL, reason="rate_limited", rest_s=60.0)
    health.failed("c:1", limited, T + 31, trial=False)
    assert health.state([KEY], T + 31) is State.DUE
    assert health.reason([KEY, "c:1"]) == "rate_limited"
    assert health.reason(["c:2"]) == ""


def test_how_many_failures_in_which_time_is_up_to_the_operator():
    health = Health(Alone(), cooldown_s=30.0, failures=2, window_s=5.0)
    health.failed(KEY, verdict(), T, trial=False)
    health.failed(KEY, verdict(), T + 5, trial=False)
    assert health.state([KEY], T + 5) is State.READY
    health.failed(KEY, verdict(), T + 9, trial=False)
    assert health.state([KEY], T + 9) is State.OUT


def test_failures_count_while_they_are_recent_and_nothing_went_well_between():
    health = fresh()
    for n in range(FAILURES):
        health.failed(KEY, verdict(), T + n * WINDOW_S, trial=False)
    assert health.state([KEY], T) is State.READY
    for n in range(FAILURES * 2):
        health.failed(KEY, verdict(), T + 1000 + n, trial=False)
        if n % 2:
            health.succeeded([KEY], T + 1000 + n)
    assert health.state([KEY], T + 1000) is State.READY


def test_a_cool_down_ends_by_one_trial_at_a_time():
    health = at_rest()
    assert health.state([KEY], T + 29.9) is State.OUT
    assert health.state([KEY], T + 30) is State.DUE
    assert health.try_out([KEY], T + 30) == [KEY]
    assert health.try_out([KEY], T + 35) is None
    health.abandon([KEY])
    assert health.try_out([KEY], T + 30.5) is None  # at most one a second
    assert health.try_out([KEY], T + 35) == [KEY]
    health.succeeded([KEY], T + 36)
    assert health.state([KEY], T + 36) is State.READY
    assert health.rests == {}


def test_a_failed_trial_makes_it_longer_up_to_a_limit():
    health, now = at_rest(), T
    lasts = []
    for _ in range(25):
        until = health.returns_at([KEY])
        lasts.append(until - now)
        now = until
        assert health.try_out([KEY], now)
        health.failed(KEY, verdict(), now, trial=True)
    assert lasts[:3] == [30, 60, 90]
    assert lasts[-1] == REST_MAX_S


def test_a_failure_that_began_before_the_cool_down_changes_nothing():
    health = at_rest()
    health.failed(KEY, REFUSED, T + 20, trial=False)
    assert health.returns_at([KEY]) == T + 30


def test_a_success_ends_it_early():
    health = at_rest()
    health.succeeded([KEY], T + 1)
    assert health.state([KEY], T + 1) is State.READY


def test_an_end_that_the_upstream_named_holds_for_everybody_and_no_success_ends_it_before():
    health = fresh()
    health.failed(KEY, verdict(rest_s=7.5), T, trial=False)
    health.succeeded([KEY], T + 1)
    assert health.state([KEY], T + 7.4) is State.OUT
    assert health.state([KEY], T + 7.5) is State.READY
    assert health.rests == {}


def test_a_later_end_that_the_upstream_names_counts():
    health = fresh()
    health.failed(KEY, verdict(rest_s=5), T, trial=False)
    health.failed(KEY, verdict(rest_s=9), T + 1, trial=False)
    health.failed(KEY, verdict(rest_s=2), T + 2, trial=False)
    assert health.returns_at([KEY]) == T + 10


def test_the_worst_of_several_keys_counts():
    health = at_rest()
    assert health.state(["u:2", "c:1"], T) is State.READY
    assert health.state(["u:2", KEY], T) is State.OUT
    assert health.reason(["u:2", KEY]) == "status_500"
    assert health.returns_at(["u:2", KEY]) == T + 30


def test_with_no_cool_down_nobody_is_left_out():
    health = fresh(cooldown_s=0)
    health.failed(KEY, verdict(rest_s=60, at_once=True), T, trial=False)
    assert health.state([KEY], T) is State.READY


def test_workers_agree():
    wall = Wall()
    one, other = fresh(wall.board()), fresh(wall.board())
    one.failed(KEY, REFUSED, T, trial=False)
    assert other.state([KEY], T) is State.OUT
    assert other.try_out([KEY], T + 30) == [KEY]
    assert one.try_out([KEY], T + 31) is None
    other.succeeded([KEY], T + 31)
    assert one.state([KEY], T + 31) is State.READY


def test_what_many_names_put_in_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "RESTS_MAX", 100)
    wall = Wall()
    health, other = fresh(wall.board()), fresh(wall.board())
    for n in range(1000):
        health.failed(f"r:1:{n}", REFUSED, T + n, trial=False)
    for each in (health, other):
        assert len(each.rests) <= 101
        assert each.state(["r:1:999"], T + 999) is State.OUT


@given(st.lists(st.tuples(st.sampled_from("fsrt"), st.floats(0, 100)), max_size=30))
def test_it_never_stays_out_for_ever(steps):
    health, now = fresh(), T
    for step, later in steps:
        now += later
        if step == "f":
            health.failed(KEY, verdict(at_once=later > 50), now, trial=False)
        elif step == "r":
            health.failed(KEY, verdict(rest_s=later + 1), now, trial=False)
        elif step == "s":
            health.succeeded([KEY], now)
        elif health.try_out([KEY], now):
            health.failed(KEY, verdict(), now, trial=True)
    now += REST_MAX_S + 1
    assert health.state([KEY], now) is not State.OUT
    assert health.try_out([KEY], now) is not None


@pytest.mark.parametrize("scope", Scope)
def test_a_cool_down_survives_its_way_to_the_others(scope):
    wall = Wall()
    one, other = fresh(wall.board()), fresh(wall.board())
    one.failed(KEY, Verdict(scope=scope, reason="quota", rest_s=90.0), T, trial=False)
    assert one.rests == other.rests


def test_who_is_left_out_is_told_once_and_again_when_taken_back(monkeypatch):
    monkeypatch.setattr(module, "log", structlog.get_logger())  # one that hasn't made up its mind where to write
    health = fresh()
    with structlog.testing.capture_logs() as lines:
        for n in range(3):
            health.failed(KEY, REFUSED, T + 1000 * n, trial=True)
        health.succeeded([KEY], T + 5000)
    assert [(line["event"], line["what"]) for line in lines] == [("left_out", KEY), ("taken_back", KEY)]
