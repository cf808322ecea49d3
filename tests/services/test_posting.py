"""Sums are what their records add up to, whatever comes twice, together or at once."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import Attempt, ConversationTotal, DailyRollup, Record, Rollup
from app.services import posting
from tests.services.writing import at_once, record

pytestmark = pytest.mark.any_database
HOUR = 3600


def rows(model):
    with db.engine.connect() as connection:
        return connection.execute(select(model.__table__).order_by(*model.__table__.primary_key)).all()


def post(*notes, again=False, engine=None):
    with (engine or db.engine).begin() as connection:
        posting.post(connection, list(notes), again=again)


def test_a_record_that_is_there_is_passed_over_with_its_share(ctx):
    post(record(1, cost=3))
    post(record(1, cost=3), record(2, cost=4), record(2, cost=400), again=True)
    assert [row.cost_nanos for row in rows(Record)] == [3, 4]
    assert [(row.requests, row.cost_nanos) for row in rows(Rollup)] == [(2, 7)]
    assert len(rows(Attempt)) == 4


def test_a_record_that_should_be_new_and_is_not_takes_all_others_back_with_it(ctx):
    post(record(1, cost=3))
    with pytest.raises(IntegrityError):
        post(record(2, cost=4), record(1, cost=3))
    assert [(row.requests, row.cost_nanos) for row in rows(Rollup)] == [(1, 3)]


def test_a_moment_is_kept_in_the_one_form_that_queries_compare_with(ctx):
    """SQLite keeps text: a moment on the second would sort before itself if it were written without its fraction."""
    post(record(1, at=1_800_000_000.0), record(2, at=1_800_000_000.5))
    on_the_second = datetime.fromtimestamp(1_800_000_000, UTC)
    with db.engine.connect() as connection:
        assert connection.scalars(select(Record.id).where(Record.at >= on_the_second).order_by(Record.at)).all() == [
            record(1).id,
            record(2).id,
        ]


def test_there_is_one_row_for_each_hour_user_token_model_and_upstream(ctx):
    base = record(0)
    differing = [{}, {"at": base.at + HOUR}, {"user_id": 2}, {"token_id": 2}, {"model": "n"}, {"attempts": ()}]
    post(*[record(n, cost=1, **more) for n, more in enumerate(differing * 2)])
    assert [(row.requests, row.cost_nanos) for row in rows(Rollup)] == [(2, 2)] * len(differing)
    assert {row.upstream_id for row in rows(Rollup)} == {0, 2}


def test_days_are_what_their_hours_add_up_to(ctx):
    base = record(0)
    moves = [0, HOUR, 10 * HOUR, 15 * HOUR, 16 * HOUR]  # it begins at 08:00 by UTC
    post(*[record(n, cost=1, at=base.at + more) for n, more in enumerate(moves)])
    assert [row.cost_nanos for row in rows(Rollup)] == [1] * 5
    assert [(row.day.hour, row.cost_nanos) for row in rows(DailyRollup)] == [(0, 4), (0, 1)]


def test_a_conversation_knows_when_it_began_and_when_it_was_last_heard_of(ctx):
    base = record(0)
    post(record(1, conversation="k" * 32, cost=1), record(2, conversation="k" * 32, at=base.at + 60, cost=2))
    post(record(3, conversation="k" * 32, at=base.at + 30, cost=4), record(4, cost=8))
    (total,) = rows(ConversationTotal)
    assert (total.requests, total.cost_nanos) == (3, 7)
    assert (total.last_at - total.first_at).total_seconds() == 60
    post(record(5, conversation="k" * 32, at=base.at - 30))  # it began before the others, and ended after them
    (total,) = rows(ConversationTotal)
    assert (total.last_at - total.first_at).total_seconds() == 90


def test_what_a_record_becomes_moves_its_sums_along(ctx):
    post(record(1, cost=None, conversation="k" * 32))
    (row,) = rows(Record)
    before = dict(row._mapping)
    with db.engine.begin() as connection:
        posting.move(connection, [(before, before | {"cost_nanos": 9, "output_tokens": 40})])
    for table in (Rollup, DailyRollup, ConversationTotal):
        (total,) = rows(table)
        assert (total.requests, total.unpriced, total.cost_nanos, total.output_tokens) == (1, 0, 9, 40)


def test_many_workers_may_raise_the_same_sums_at_once(ctx):
    """In one order, so that none waits for one that waits for it."""

    engine = db.engine

    def batch(start):
        return lambda: post(
            *[record(start + n, cost=1, user_id=n % 3, token_id=(start + n) % 5) for n in range(20)], engine=engine
        )

    told = at_once(*[batch(100 * n) for n in range(8)])
    assert told == [None] * 8
    assert sum(row.cost_nanos for row in rows(Rollup)) == 160
