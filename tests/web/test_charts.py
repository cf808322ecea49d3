"""Columns stay inside the drawing, and what is there is seen."""

from app.services.reports import Totals
from app.web.charts import HEIGHT, LEAST, MARKS, WIDTH, Step, bars


def steps(*counts):
    return [Step(f"{n}", "", "", Totals(requests=count, errors=errors)) for n, (count, errors) in enumerate(counts)]


def test_the_highest_fills_the_drawing_and_little_is_still_seen():
    low, none, high = bars(steps((1, 0), (0, 0), (1_000_000, 1)))
    assert (high.y, high.height) == (0, HEIGHT)
    assert (low.height, low.y) == (LEAST, HEIGHT - LEAST)
    assert none.height == 0
    assert low.x >= 0
    assert high.x + high.width <= WIDTH
    assert abs(low.x - (WIDTH - high.x - high.width)) <= 1, "as much free on the left as on the right"
    assert (high.bad, low.bad, none.bad) == (LEAST, 0, 0), "one error among many is still seen"


def test_nothing_at_all_is_drawn_flat():
    assert bars([]) == []
    assert [(bar.height, bar.bad) for bar in bars(steps((0, 0)))] == [(0, 0)]


def test_labels_stand_apart():
    for count in (1, 7, 24, 30):
        marks = [bar.mark for bar in bars(steps(*[(1, 0)] * count))]
        assert marks[0] == "0"
        assert 1 <= sum(map(bool, marks)) <= MARKS
