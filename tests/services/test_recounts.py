"""A count in doubt is known with what it says was spent; one that says too little is brought up, and none down."""

from app.protocol.limit import ALWAYS, Measure, Rule
from app.services.counters import Count, Counters
from app.services.recounts import Recounts

WANT = Count(Rule("user", 1, Measure.TOTAL, 1000), "k", ALWAYS), 100


def test_what_says_too_little_is_brought_up_and_nothing_is_brought_down():
    counters = Counters()
    recounts = Recounts(counters)
    counters.take("a", [WANT])
    counters.reserved = lambda key: 60
    assert recounts.said(["k", "nobody counts this"]) == [40, None]
    for spent, used in ((40, 100), (39, 100), (55, 115), (55, 115)):
        recounts.correct({"k": spent, "nobody counts this": spent})
        assert counters.peek(["k", "nobody counts this"]) == [used, None]


def test_a_doubt_lasts_until_somebody_is_sure_of_that_very_one():
    recounts = Recounts(Counters())
    recounts.doubt(["a", "b"])
    first = recounts.doubted()
    recounts.doubt(["b"])
    recounts.sure(first)
    assert set(recounts.doubted()) == {"b"}
    recounts.sure(recounts.doubted())
    assert recounts.doubted() == {}
