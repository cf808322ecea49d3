"""What one transaction writes: two workers write at once, and each holds what the other wants."""

import threading
from contextlib import contextmanager

import pytest
from sqlalchemy import insert, select, text, update

from app.extensions import db
from app.models import Meta, Record, Rollup
from app.protocol.record import line_of
from app.services.batch import Batch, Writer
from app.services.call_log import CallLog
from app.services.posting import post
from tests import databases
from tests.live import until
from tests.services.writing import record


@pytest.mark.parametrize("database_kind", ["postgresql", "mysql"], indirect=True)
def test_a_commit_that_meets_another_crosswise_is_tried_again(ctx):
    """The other holds a sum that ours wants, and then wants the record that ours holds: one of them must go back."""
    writer = Writer(db.engine, CallLog())
    first, ours = record(1), record(2)
    writer.write(Batch([], line_of(first)))
    with beside(lambda: writer.write(Batch([], line_of(ours)))) as start, db.engine.connect() as connection:
        # The database takes back who has done less, or who began to wait first: both are ours.
        connection.execute(insert(Meta), [{"name": f"weight-{n}", "value": n} for n in range(100)])
        connection.execute(update(Rollup).values(requests=Rollup.requests + 1))
        start()
        until(lambda: waits(db.engine), every=0.25)  # who asks InnoDB more often gets its old answer again
        post(connection, [ours], again=False)
        connection.rollback()
    with db.engine.connect() as connection:
        assert set(connection.scalars(select(Record.id))) == {first.id, ours.id}


@contextmanager
def beside(function):
    """Yield what starts a function beside this test; wait for it at the end."""
    thread = threading.Thread(target=function)
    yield thread.start
    thread.join(20)


def waits(engine):
    """Whether some transaction waits for another's lock."""
    if engine.dialect.name == "mysql":
        return databases.on_mysql("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return connection.execute(text(waiting)).all()
