"""Greenlets that are used again."""

import gevent
from gevent.event import Event
from greenlet import getcurrent

from app.relay.hands import IDLE_MAX, Hand, soon


def test_work_is_done_aside_and_may_wait(monkeypatch):
    monkeypatch.setattr(Hand, "waiting", [])
    done = []

    def work():
        gevent.sleep(0.01)
        done.append("work")

    soon(work)
    done.append("asked")
    while len(Hand.waiting) < 1:
        gevent.sleep(0)
    assert done == ["asked", "work"]


def test_one_greenlet_does_one_piece_of_work_after_another(monkeypatch):
    monkeypatch.setattr(Hand, "waiting", [])
    by = []
    for _ in range(3):
        over = Event()
        soon(lambda over=over: (by.append(getcurrent()), over.set()))
        over.wait(5)
    assert len(by) == 3
    assert len(set(map(id, by))) == 1


def test_what_a_hand_fails_at_ends_it_alone(monkeypatch):
    monkeypatch.setattr(Hand, "waiting", [])
    monkeypatch.setattr(gevent.get_hub(), "print_exception", lambda *_: None)
    over = Event()
    soon(lambda: 1 / 0)
    soon(over.set)
    assert over.wait(5)


def test_few_wait_for_work(monkeypatch):
    monkeypatch.setattr(Hand, "waiting", [])
    begun, go_on = [], Event()
    for _ in range(IDLE_MAX + 10):
        soon(lambda: (begun.append(1), go_on.wait()))
    while len(begun) < IDLE_MAX + 10:
        gevent.sleep(0)
    go_on.set()
    while len(Hand.waiting) < IDLE_MAX:
        gevent.sleep(0)
    gevent.sleep(0)
    assert len(Hand.waiting) == IDLE_MAX
