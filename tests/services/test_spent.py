"""What was spent before a worker began to count comes from the sums, for the right subject, models and time."""

import pytest

from app.extensions import db
from app.models import Model
from app.protocol.limit import Measure, Rule, spans
from app.services import posting
from app.services.spent import Spent
from tests.services.writing import record

pytestmark = pytest.mark.any_database
NOW = 1_800_000_000.0
HOUR, DAY = 3600, 86400


@pytest.fixture
def ask(ctx):
    notes = [
        record(1, cost=1, at=NOW, conversation="c" * 32),
        record(2, cost=10, at=NOW - 40 * DAY, conversation="c" * 32),
        record(3, cost=100, at=NOW, token_id=2, model="claude-x"),
        record(4, cost=1000, at=NOW, user_id=2, token_id=3, model="claude-y"),
        record(5, cost=10_000, at=NOW, user_id=2, token_id=3, model="claude_z"),
        record(6, cost=None, at=NOW),
    ]
    with db.engine.begin() as connection:
        posting.post(connection, notes, again=False)
    spent = Spent(db.engine)

    def before(scope, subject, measure, model=""):
        if measure is Measure.CONVERSATION:
            return spent.in_conversation(subject, "c" * 32)()
        return spent.under(Rule(scope, subject, measure, 0, model), spans(NOW)[measure])()

    return before


@pytest.mark.parametrize(
    ("rule", "nanos"),
    [
        (("user", 1, Measure.DAY), 101),
        (("user", 1, Measure.MONTH), 101),
        (("user", 1, Measure.TOTAL), 111),
        (("user", 1, Measure.TOTAL, "claude-x"), 100),
        (("user", 2, Measure.WEEK), 11_000),
        (("user", 3, Measure.TOTAL), 0),
        (("token", 1, Measure.TOTAL), 11),
        (("token", 2, Measure.DAY), 100),
        (("model", 9, Measure.TOTAL, "claude-*"), 1100),
        (("model", 9, Measure.TOTAL, "m"), 11),
        (("user", 1, Measure.CONVERSATION), 11),
    ],
)
def test_each_rule_has_its_sum(ask, rule, nanos):
    assert ask(*rule) == nanos


@pytest.mark.parametrize(
    ("others", "nanos"),
    [
        (("claude-x",), 1000),
        (("claude-x*", "claude-*-*"), 1000),
        (("claude-x", "claude-y"), 0),
        (("claude*", "claude-", "m"), 1100),
    ],
)
def test_a_pattern_s_limit_counts_no_model_that_another_entry_serves(ask, others, nanos):
    db.session.add_all([Model(name=name) for name in ("claude-*", *others)])
    db.session.add(Model(name="claude-y*", enabled=False))
    db.session.commit()
    assert ask("model", 9, Measure.TOTAL, "claude-*") == nanos
    assert ask("user", 1, Measure.TOTAL, "claude-*") == 100  # a user's is for all names that begin so
