"""A conversation stays with its credential, everywhere, for as long as it goes on."""

import time

from app.services import affinity as module
from app.services.affinity import Affinity
from app.services.board import Alone
from tests.services.boards import Wall


def test_a_binding_holds_until_another_takes_its_place():
    affinity = Affinity(Alone(), life_s=60)
    assert affinity.of("a") is None
    affinity.bind("a", 5)
    affinity.bind("b", 6)
    assert (affinity.of("a"), affinity.of("b")) == (5, 6)
    affinity.bind("a", 7)
    assert affinity.of("a") == 7


def test_a_binding_that_rests_too_long_is_over(monkeypatch):
    affinity = Affinity(Alone(), life_s=60)
    affinity.bind("a", 5)
    start = time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: start + 59)
    affinity.bind("a", 5)
    monkeypatch.setattr(module.time, "monotonic", lambda: start + 100)
    assert affinity.of("a") == 5
    monkeypatch.setattr(module.time, "monotonic", lambda: start + 120)
    assert affinity.of("a") is None


def test_workers_agree_and_are_told_little():
    wall = Wall()
    one, other = Affinity(wall.board(), life_s=60), Affinity(wall.board(), life_s=60)
    told = []
    taken = wall.boards[1].takes[module.TOPIC]
    wall.boards[1].takes[module.TOPIC] = lambda key, news: (told.append(news), taken(key, news))
    for _ in range(100):
        one.bind("a", 5)
    assert other.of("a") == 5
    assert told == [b"5"]
    one.bind("a", 6)
    assert other.of("a") == 6


def test_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(module, "BINDINGS_MAX", 10)
    affinity = Affinity(Alone(), life_s=60)
    for n in range(20):
        affinity.bind(str(n), n)
        affinity.bind("kept", 1)
    assert affinity.of("0") is None
    assert affinity.of("19") == 19
    assert affinity.of("kept") == 1


def test_what_is_over_takes_no_room(monkeypatch):
    affinity = Affinity(Alone(), life_s=60)
    start = time.monotonic()
    for n in range(1000):
        monkeypatch.setattr(module.time, "monotonic", lambda n=n: start + n)
        affinity.bind(str(n), 1)
    assert len(affinity._bindings) == 60
    monkeypatch.setattr(module.time, "monotonic", lambda: start + 2000)
    for _ in range(40):
        affinity.bind("last", 1)
    assert len(affinity._bindings) == 1
