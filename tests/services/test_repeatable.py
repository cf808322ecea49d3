"""Each step of a migration on MySQL may be made a second time, because a killed migration's steps stay made."""

import os

import pytest
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from app.services import repeatable
from tests import databases


@pytest.fixture
def connection(worker_name):
    with databases.mysql_database(f"realms_steps_{worker_name}_{os.getpid()}") as url:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            yield connection


def operations(connection):
    context = MigrationContext.configure(connection)
    assert isinstance(context.impl, repeatable.RepeatableImpl)
    return Operations(context)


def first(op):
    table = op.create_table("t", sa.Column("name", sa.String(20), primary_key=True), sa.Column("old", sa.Integer))
    op.bulk_insert(table, [{"name": "one", "old": 1}])
    op.create_index("ix_old", "t", ["old"])


def second(op):
    op.add_column("t", sa.Column("new", sa.Integer))
    op.create_index("ix_new", "t", ["new"])
    op.drop_index("ix_old", "t")
    op.drop_column("t", "old")


def third(op):
    op.drop_table("t")


def test_each_step_may_be_made_again(connection):
    op = operations(connection)
    for step, tables in ((first, ["t"]), (second, ["t"]), (third, [])):
        step(op)
        step(op)
        assert sa.inspect(connection).get_table_names() == tables


def test_what_was_made_is_as_if_it_was_made_once(connection):
    op = operations(connection)
    first(op)
    first(op)
    second(op)
    second(op)
    found = sa.inspect(connection)
    assert [column["name"] for column in found.get_columns("t")] == ["name", "new"]
    assert [index["name"] for index in found.get_indexes("t")] == ["ix_new"]
    assert connection.scalars(sa.text("SELECT name FROM t")).all() == ["one"]
