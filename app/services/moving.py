"""Moves everything from this deployment's database into another, empty one: from SQLite to a server, or back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, create_engine, delete, func, insert, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from app.extensions import Base, db
from app.models import Meta, User
from app.services import schema
from app.services.fields import FieldError
from app.settings import with_driver

if TYPE_CHECKING:
    from sqlalchemy import Engine

PORTION = 500
"""Rows that are on their way at once."""
URL = "database_url"


def move(url: str) -> dict[str, int]:
    """Copy all rows into the migrated, empty database at ``url`` in one transaction; return how many of each table.

    Numbers stay as they are. Nobody may write to this one meanwhile. Raises ``FieldError``, and then nothing was moved.
    """
    try:
        target = create_engine(with_driver(url))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError):
        raise FieldError(URL, "This is no address of a database.") from None
    try:
        _require_empty(target)
        with db.engine.connect() as reading, target.begin() as writing:
            writing.execute(delete(Meta))
            return {table.name: _copy(reading, writing, table) for table in Base.metadata.sorted_tables}
    except DBAPIError as error:
        raise FieldError(URL, f"The other database refuses: {error.orig}") from None
    finally:
        target.dispose()


def _require_empty(target: Engine) -> None:
    if schema.is_behind(target):
        raise FieldError(URL, "Its schema is behind this release. Run flask db upgrade with it as REALMS_DATABASE_URL.")
    with target.connect() as connection:
        if connection.scalar(select(User.id).limit(1)) is not None:
            raise FieldError(URL, "It is in use: it has users.")


def _copy(reading: Connection, writing: Connection, table: Table) -> int:
    count = 0
    rows = reading.execution_options(yield_per=PORTION).execute(select(table).order_by(*table.primary_key.columns))
    for portion in rows.mappings().partitions(PORTION):
        writing.execute(insert(table), [dict(row) for row in portion])
        count += len(portion)
    if count and "id" in table.columns and writing.dialect.name == "postgresql":
        _count_on(writing, table)
    return count


def _count_on(writing: Connection, table: Table) -> None:
    """Let PostgreSQL number on after the highest number; the others do by themselves."""
    sequence = writing.scalar(select(func.pg_get_serial_sequence(table.name, "id")))
    if sequence is not None:
        highest = writing.scalar(select(func.max(table.c.id)))
        writing.execute(text("SELECT setval(:sequence, :highest)"), {"sequence": sequence, "highest": highest})
