"""Work that somebody waits for, and stops waiting for, without stopping it."""

from concurrent.futures import ThreadPoolExecutor

import gevent
import pytest
from gevent.event import Event

from app.relay.hands import Hand
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


def test_the_first_work_of_a_thread_is_done_as_any_other(monkeypatch):
    """It finds neither an idle hand nor a hub."""
    monkeypatch.setattr(Hand, "waiting", [])
    with ThreadPoolExecutor(1) as elsewhere:
        assert [elsewhere.submit(lambda: Patience(lambda: 7).begin()).result(5) for _ in range(2)] == [7, 7]


def test_what_it_raises_is_raised():
    def fails():
        gevent.sleep(0.01)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Patience(fails).begin()


def interrupted(outcome):
    """Return one whose work was interrupted, and what lets that go on."""
    go_on = Event()

    def work():
        go_on.wait()
        return outcome()

    patience = Patience(work)
    gevent.spawn(patience.interrupt)
    with pytest.raises(Silence):
        patience.begin()
    return patience, go_on.set


def test_work_goes_on_after_an_interruption():
    patience, go_on = interrupted(lambda: "late")
    assert patience.wait(0.01) is None
    assert not patience.over
    go_on()
    assert patience.wait(5) == "late"
    assert patience.over


def test_what_it_raises_late_is_raised_late():
    def fails():
        raise ValueError("late")

    patience, go_on = interrupted(fails)
    go_on()
    with pytest.raises(ValueError, match="late"):
        patience.wait(5)


def test_nobody_is_interrupted_twice_or_after_the_end():
    patience, go_on = interrupted(lambda: 1)
    patience.interrupt()
    gevent.sleep(0)
    go_on()
    assert patience.wait(5) == 1
    patience.interrupt()
    gevent.sleep(0.01)


def test_what_comes_of_work_that_nobody_waits_for_any_more_is_disposed_of():
    got = []
    patience, go_on = interrupted(lambda: "link")
    patience.then(got.append)
    go_on()
    assert patience.wait(5) == "link"
    assert got == ["link"]
