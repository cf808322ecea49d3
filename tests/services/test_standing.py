"""How far limits are used up: as counted, else as the sums say."""

from datetime import datetime

import pytest

from app.extensions import db
from app.models.base import utcnow
from app.protocol.limit import Measure, Rule, spans
from app.services import posting
from app.services.counters import Count, Counters
from app.services.spent import Spent
from app.services.standing import Standing, Standings
from tests.services.writing import record

pytestmark = pytest.mark.any_database


def test_rules_stand_as_they_are_counted_or_as_was_spent(ctx):
    now = utcnow().timestamp()
    with db.engine.begin() as connection:
        posting.post(connection, [record(1, cost=700, at=now)], again=False)
    counters = Counters()
    rules = tuple(Rule("user", 1, measure, 1000) for measure in Measure)
    requests = rules[0]
    span = spans(now)[Measure.REQUESTS]
    counters.take("a", [(Count(requests, f"{requests.key}:{span.start}", span), 4)])
    told = {standing.rule.measure: standing for standing in Standings(counters, Spent(db.engine)).of(rules)}
    assert set(told) == set(Measure) - {Measure.CONVERSATION}
    assert [told[m].used for m in (Measure.CONCURRENT, Measure.DAY, Measure.TOTAL)] == [0, 700, 700]
    assert told[Measure.DAY].left == 300
    assert told[Measure.DAY].share == 0.7
    assert isinstance(told[Measure.DAY].resets_at, datetime)
    assert told[Measure.TOTAL].resets_at is None


@pytest.mark.parametrize(("used", "most", "share", "left"), [(0, 10, 0.0, 10), (20, 10, 1.0, 0), (0, 0, 1.0, 0)])
def test_a_share_is_between_nothing_and_all(used, most, share, left):
    standing = Standing(Rule("user", 1, Measure.DAY, most), used, None)
    assert (standing.share, standing.left) == (share, left)
