"""Work that somebody waits for, and stops waiting for, without stopping it."""

from concurrent.futures import ThreadPoolExecutor

import gevent
import pytest

from app.relay.patience import Patience
from app.relay.wire import Silence


def test_what_ends_in_time_is_returned_as_if_it_had_been_called():
    assert Patience(lambda: 7).begin() == 7
    assert Patience(lambda: gevent.sleep(0.01) or 8).begin() == 8


def test_a_thread_uses_no_other_thread_s():
    for _ in range(2):
        elsewhere = ThreadPoolExecutor(1)
        assert elsewhere.submit(lambda: Patience(lambda: 7).begin()).result(5) == 7
        assert Patience(lambda: 8).begin() == 8
        elsewhere.shutdown()


def test_what_it_raises_is_raised():
    def fails():
        gevent.sleep(0.01)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Patience(fails).begin()


def interrupted(work):
    patience = Patience(work)
    gevent.spawn_later(0.02, patience.interrupt)
    with pytest.raises(Silence):
        patience.begin()
    return patience


def test_work_goes_on_after_an_interruption():
    patience = interrupted(lambda: gevent.sleep(0.1) or "late")
    assert patience.wait(0.01) is None
    assert not patience.over
    assert patience.wait(5) == "late"
    assert patience.over


def test_what_it_raises_late_is_raised_late():
    def fails():
        gevent.sleep(0.1)
        raise ValueError("late")

    patience = interrupted(fails)
    with pytest.raises(ValueError, match="late"):
        patience.wait(5)


def test_nobody_is_interrupted_twice_or_after_the_end():
    patience = interrupted(lambda: gevent.sleep(0.1) or 1)
    patience.interrupt()
    assert patience.wait(5) == 1
    patience.interrupt()
    gevent.sleep(0.01)


def test_what_comes_of_work_that_nobody_waits_for_any_more_is_disposed_of():
    got = []
    interrupted(lambda: gevent.sleep(0.05) or "link").then(got.append)
    gevent.sleep(0.2)
    assert got == ["link"]
