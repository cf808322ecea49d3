"""Counts in one process: all that a call needs, or nothing of it."""

from itertools import count

import pytest

from app.protocol.limit import ALWAYS, Measure, Rule, Span
from app.services.counters import Count, Counters, Full
from tests.services.writing import at_once

names = count()


def want(most, amount=1, *, key="k", base=None, span=ALWAYS):
    return Count(Rule("user", 1, Measure.CONCURRENT, most), key, span, base), amount


def test_what_does_not_fit_takes_nothing_of_anything():
    counters = Counters()
    assert counters.take("a", [want(5), want(2, key="l")]) == [1, 1]
    counters.take("b", [want(5), want(2, key="l")])
    with pytest.raises(Full) as full:
        counters.take("c", [want(5), want(2, key="l")])
    assert (full.value.count.key, full.value.used) == ("l", 2)
    assert counters.peek(["k", "l", "m"]) == [2, 2, None]


def test_what_is_given_back_is_there_for_the_next():
    counters = Counters()
    counters.take("a", [want(10, 8)])
    counters.give("a", [(want(10, 8), 3), (want(10, key="never counted"), 8)])
    assert counters.take("b", [want(10, 7)]) == [10]
    assert counters.peek(["never counted"]) == [None]


def test_nothing_fits_into_a_limit_of_nothing():
    for share in (1, 4):
        with pytest.raises(Full):
            Counters(share=share).take("a", [want(0)])


def test_one_of_several_workers_has_its_share_and_at_least_one():
    counters = Counters(share=4)
    for name in range(2):
        counters.take(str(name), [want(11)])
    with pytest.raises(Full):
        counters.take("c", [want(11)])
    assert Counters(share=4).take("a", [want(1)]) == [1]


def test_what_was_used_before_is_asked_for_once_and_nobody_is_forgotten_meanwhile():
    import gevent

    asked = []

    def base():
        asked.append(1)
        gevent.sleep(0.01)
        return 3

    counters = Counters()
    told = at_once(*[lambda: counters.take(str(next(names)), [want(6, base=base)]) for _ in range(5)])
    assert sorted(each[0] for each in told if not isinstance(each, Full)) == [4, 5, 6]
    assert len([each for each in told if isinstance(each, Full)]) == 2
    assert counters.peek(["k"]) == [6]
    counters.give("a", [(want(6), 0)])
    counters.take("z", [want(6, base=base)])
    assert len(asked) <= 5


def test_a_minute_that_is_over_while_the_sums_are_asked_stops_no_call():
    counters = Counters()

    def base():
        counters.sweep(60)  # as another call does, once the minute is over
        return 3

    minute = want(5, span=Span(0, 60))
    assert counters.take("a", [minute, want(9, key="money", base=base)]) == [1, 4]
    counters.give("a", [(minute, 0)])
    counters.take("b", [minute])
    assert counters.take("c", [minute, want(9, key="more", base=base)]) == [1, 4]


def test_what_is_over_is_forgotten():
    counters = Counters()
    counters.take("a", [want(5, span=Span(0, 60)), want(5, key="for ever")])
    counters.sweep(59.9)
    assert counters.peek(["k", "for ever"]) == [1, 1]
    counters.sweep(60)
    assert counters.peek(["k", "for ever"]) == [None, 1]
