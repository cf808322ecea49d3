"""Whoever came first goes first, whatever he waits for; whoever finds nothing keeps nobody else from what there is."""

import gevent
import pytest

from app.services import line as module
from app.services.line import Line, Spot


class Shelf:
    """What can be taken: so many of each place."""

    def __init__(self, **there):
        self.there = there
        self.looks = 0

    def spot(self, place, name, taken, who=0):
        def take():
            self.looks += 1
            if not self.there.get(place):
                return None
            self.there[place] -= 1
            taken.append(name)
            return name

        return Spot(place, frozenset({place}), who=who, take=take, give_back=self.put(place), returns_s=lambda: None)

    def put(self, place):
        def give_back(_):
            self.there[place] += 1

        return give_back


def joined(line, shelf, *wanted):
    """Let calls stand in line; return their spots and the list of who was served."""
    taken, spots = [], []
    for n, place in enumerate(wanted):
        spots.append(shelf.spot(place, f"{place}{n}", taken))
        assert line.join(spots[-1])
    return spots, taken


def test_who_came_first_goes_first():
    line, shelf = Line(), Shelf(a=0, b=0)
    _, taken = joined(line, shelf, "a", "b", "a", "b", "a")
    gevent.sleep(0)
    assert taken == []
    shelf.there |= {"a": 2, "b": 5}
    line.changed()
    gevent.sleep(0)
    assert taken == ["a0", "b1", "a2", "b3"]
    assert len(line) == 1
    shelf.there["a"] = 1
    line.changed()
    gevent.sleep(0)
    assert taken[-1] == "a4"
    assert len(line) == 0


def test_those_who_want_the_same_are_not_all_asked():
    line, shelf = Line(), Shelf()
    joined(line, shelf, *["a"] * 100, *["b"] * 100)
    gevent.sleep(0)
    assert shelf.looks == 2


def test_what_somebody_waits_for_is_known_as_long_as_he_does():
    line, shelf = Line(), Shelf(a=0)
    (one, other), _ = joined(line, shelf, "a", "a")
    assert line.waits_for("a")
    assert not line.waits_for("b")
    line.leave(one)
    assert line.waits_for("a")
    line.leave(other)
    assert not line.waits_for("a")
    assert len(line) == 0


def test_who_leaves_gives_back_what_was_taken_for_him():
    line, shelf = Line(), Shelf(a=1)
    (one,), taken = joined(line, shelf, "a")
    assert one.wait(1) == "a0"
    line.leave(one)
    assert (taken, shelf.there) == (["a0"], {"a": 1})


def test_who_leaves_while_it_is_asked_about_gives_it_back_too():
    line, shelf = Line(), Shelf(a=1)
    spot = shelf.spot("a", "slow", [])
    quick, spot.take = spot.take, lambda: gevent.sleep(0.02) or quick()
    line.join(spot)
    gevent.sleep(0.01)
    line.leave(spot)
    gevent.sleep(0.03)
    assert shelf.there == {"a": 1}
    assert spot.granted is None


def test_it_is_looked_at_when_the_soonest_may_return_without_being_told():
    line, shelf = Line(), Shelf(a=0)
    (one,), _ = joined(line, shelf, "a")
    one.returns_s = lambda: 0.02
    gevent.sleep(0)
    shelf.there["a"] = 1
    assert one.wait(module.LOOK_S / 2) == "a0"


def test_only_so_many_can_wait_but_for_those_who_want_something_else(monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    monkeypatch.setattr(module, "ALIKE_MIN", 2)
    line, shelf = Line(), Shelf(a=0, b=1)
    joined(line, shelf, "a", "a", "a")
    assert not line.join(shelf.spot("a", "late", []))
    other = shelf.spot("b", "free", [])
    assert line.join(other)
    assert other.wait(1) == "free"


def test_nobody_takes_the_line_for_himself(monkeypatch):
    monkeypatch.setattr(module, "OF_ONE_MAX", 2)
    line, shelf = Line(), Shelf(a=0)
    first, second, third, other = (shelf.spot("a", n, [], who=who) for n, who in enumerate((1, 1, 1, 2)))
    assert [line.join(spot) for spot in (first, second, third, other)] == [True, True, False, True]
    line.leave(first)
    assert line.join(third)


@pytest.mark.parametrize("count", [200])
def test_order_holds_for_many_at_once(count):
    """As many greenlets as calls, and places that come free one by one and in bursts."""
    line, shelf, finished = Line(), Shelf(a=0), []

    def call(n):
        spot = shelf.spot("a", n, [])
        assert line.join(spot)
        while spot.wait(0.05) is None:
            pass
        finished.append(n)

    calls = [gevent.spawn(call, n) for n in range(count)]
    gevent.sleep(0)
    for n in range(count):
        shelf.there["a"] += 1
        line.changed()
        if n % 3:
            gevent.sleep(0)
    gevent.joinall(calls, timeout=5, raise_error=True)
    assert finished == list(range(count))
