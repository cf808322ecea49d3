"""Runs the migrations on the application's database, one process at a time however many start at once.

They run on a connection of their own, so that the time limits of the application's pool don't cut a long step, and on
SQLite too each runs in a transaction, so that a killed one leaves nothing half done. MySQL knows no transaction around
a table's making: there each step looks first whether it was done (``app.services.repeatable``).
"""

from __future__ import annotations

import fcntl
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import context
from sqlalchemy import create_engine, event, pool, text

import app.models  # noqa: F401 - registers every table
from app.extensions import Base, db
from app.services import repeatable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

ADVISORY_LOCK = 7_236_091_544
"""Any number, the same in every release."""


def own_engine() -> Engine:
    engine = create_engine(db.engine.url, poolclass=pool.NullPool)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _leave_transactions_to_us)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    repeatable.compare_by_bytes()
    return engine


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin none for CREATE TABLE


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Wait until no other process migrates this database; the end of this one, a kill included, lets the next go."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
        connection.commit()
        yield  # closing the connection gives the lock back
        return
    if connection.dialect.name == "mysql":
        connection.execute(text("SELECT GET_LOCK(CONCAT('realms.', MD5(DATABASE())), 31536000)"))
        connection.commit()
        yield
        return
    database = connection.engine.url.database
    if not database or database == ":memory:":
        yield
        return
    with closing(Path(f"{database}.migrating").open("w")) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run() -> None:
    with own_engine().connect() as connection, alone(connection):
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=True,
            render_as_batch=True,
            transactional_ddl=connection.dialect.name != "mysql",
        )
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("Migrations need the database itself: --sql is not offered.")
run()
