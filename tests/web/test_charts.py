"""Columns stay inside the drawing, and what is there is seen."""

from app.web.charts import HEIGHT, LEAST, WIDTH, bars


def test_the_highest_fills_the_drawing_and_little_is_still_seen():
    low, none, high = bars([("a", 1), ("b", 0), ("c", 1_000_000)])
    assert (high.y, high.height) == (0, HEIGHT)
    assert (low.height, low.y) == (LEAST, HEIGHT - LEAST)
    assert none.height == 0
    assert low.x == 0
    assert high.x + high.width <= WIDTH


def test_nothing_at_all_is_drawn_flat():
    assert bars([]) == []
    assert [bar.height for bar in bars([("a", 0)])] == [0]
