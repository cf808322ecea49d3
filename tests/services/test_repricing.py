"""Records are paid again at what is set for their time, and the sums follow to the nano-dollar."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import delete, func, select

from app.extensions import db
from app.models import ConversationTotal, Model, Record, Rollup
from app.protocol.price import Rates, Tariff
from app.protocol.usage import UNKNOWN, from_object
from app.services import audit, posting, prices, repricing
from tests.services.writing import record

pytestmark = pytest.mark.any_database
BEGIN, END = datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)
USAGE = from_object({"input_tokens": 1000, "output_tokens": 100, "input_tokens_details": {"cached_tokens": 400}})
RATES = Tariff(Rates(input=2_000_000_000, cache_read=500_000_000, output=8_000_000_000))
COST = 600 * 2000 + 400 * 500 + 100 * 8000


@pytest.fixture
def kept(ctx):
    model = Model(name="m")
    db.session.add(model)
    db.session.add(Model(name="claude-*"))
    db.session.commit()
    prices.put(model.id, RATES, actor=None)
    notes = [record(n, usage=USAGE, cost=None, conversation="c" * 32) for n in range(3)]
    notes += [
        record(10, usage=USAGE, cost=COST * 2, at=1_799_000_000.0),
        record(11, usage=UNKNOWN, cost=0),
        record(12, usage=USAGE, cost=0, endpoint="responses.input_tokens"),
        record(13, usage=USAGE, cost=7, model="claude-x"),
        record(14, usage=USAGE, cost=1, at=1_900_000_000.0),
    ]
    with db.engine.begin() as connection:
        posting.post(connection, notes, again=False)


def sums():
    with db.engine.connect() as connection:
        return [connection.scalar(select(func.sum(t.cost_nanos))) for t in (Record, Rollup)]


def test_a_preview_changes_nothing(kept):
    before = sums()
    outcome = repricing.preview(BEGIN, END)
    assert (outcome.seen, outcome.changed, outcome.unknown) == (7, 5, 1)
    assert (outcome.before, outcome.after) == (COST * 2 + 7, COST * 4)
    assert sums() == before


def test_what_is_paid_again_moves_every_sum(kept, monkeypatch):
    monkeypatch.setattr(repricing, "CHUNK", 2)
    told = repricing.preview(BEGIN, END)
    assert repricing.apply(BEGIN, END, actor=None) == told
    assert sums() == [COST * 4 + 1] * 2
    (talk,) = db.session.scalars(select(ConversationTotal))
    assert (talk.cost_nanos, talk.requests, talk.unpriced) == (COST * 3, 3, 0)
    assert repricing.preview(BEGIN, END).changed == 0
    row = db.session.get(Record, record(0).id)
    assert (row.cost_nanos, row.price["input"]) == (COST, 2_000_000_000)
    assert audit.list_entries()[0].action == "prices.reprice"


def test_one_model_may_be_paid_alone(kept):
    assert repricing.preview(BEGIN, END, model="claude-x").seen == 1
    assert repricing.preview(BEGIN, BEGIN).seen == 0


def test_what_is_disabled_is_paid_at_its_own_price_only_where_nothing_else_serves_it(kept):
    pattern = db.session.scalar(select(Model).where(Model.name == "claude-*"))
    prices.put(pattern.id, RATES, actor=None)
    disabled = Model(name="claude-x", enabled=False)
    db.session.add(disabled)
    db.session.commit()
    prices.put(disabled.id, Tariff(Rates(input=1_000_000_000, output=1_000_000_000)), actor=None)
    assert repricing.preview(BEGIN, END, model="claude-x").after == COST
    pattern.enabled = False
    db.session.commit()
    assert repricing.preview(BEGIN, END, model="claude-x").after == 1100 * 1000


def test_records_of_a_model_that_was_renamed_or_deleted_keep_what_they_cost(kept):
    db.session.execute(delete(Model))
    db.session.commit()
    outcome = repricing.preview(BEGIN, END)
    assert (outcome.before, outcome.after) == (COST * 2 + 7, COST * 2 + 7)
    assert (outcome.changed, outcome.unknown) == (0, 3)
