"""Counts in one process: all that a call needs, or nothing of it."""

from itertools import count

import pytest

from app.protocol.limit import ALWAYS, Measure, Rule, Span
from app.services import counters as module
from app.services.counters import Count, Counters, Full
from tests.services.writing import at_once

names = count()


def want(most, amount=1, *, key="k", base=None, span=ALWAYS, measure=Measure.CONCURRENT):
    return Count(Rule("user", 1, measure, most), key, span, base), amount


def money(amount, *, key="k", base=None):
    return want(1000, amount, key=key, base=base, measure=Measure.TOTAL)


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


def test_what_a_call_cost_after_all_takes_the_place_of_what_it_was_settled_with():
    counters = Counters()
    counters.take("a", [money(100), want(5, key="calls")])
    counters.give("a", [(money(100), 100), (want(5, key="calls"), 0)], later=True)
    assert counters.peek(["k", "calls"]) == [100, 0]
    for cost in (30, 30, 250, 20):  # a second time changes nothing; some is told at first, and all of it in the end
        counters.complete("a", cost)
        assert counters.peek(["k", "calls"]) == [cost, 0]


def test_only_of_whom_more_may_be_told_anything_is_corrected():
    counters = Counters()
    counters.take("a", [money(100)])
    counters.give("a", [(money(100), 40)])
    counters.complete("a", 1)
    counters.complete("nobody", 1)
    assert counters.peek(["k"]) == [40]


def test_a_count_that_was_forgotten_and_begins_anew_is_left_alone():
    counters = Counters()
    counters.take("a", [money(100)])
    counters.give("a", [(money(100), 100)], later=True)
    counters.forget("k")
    counters.complete("a", 10)
    assert counters.peek(["k"]) == [None]
    counters.take("b", [money(100, base=lambda: 7)])
    counters.complete("a", 10)
    assert counters.peek(["k"]) == [107]


def test_of_too_many_calls_the_oldest_stays_as_it_was_estimated(monkeypatch):
    monkeypatch.setattr(module, "KEPT_MAX", 2)
    counters = Counters()
    for name in ("a", "b", "c"):
        counters.take(name, [money(100)])
        counters.give(name, [(money(100), 100)], later=True)
    for name in ("a", "b", "c"):
        counters.complete(name, 1)
    assert counters.peek(["k"]) == [102]
