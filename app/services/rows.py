"""Inserts many rows with few statements.

A driver's ``executemany`` is a round trip a row with PostgreSQL and a turn of the interpreter's lock a row with SQLite.
PostgreSQL gets all rows in one JSON parameter; the others get statements with many rows, of a few sizes only, so that
drivers can keep them prepared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

REFUSED = (DataError, IntegrityError, OverflowError, UnicodeError, RecursionError)
"""What a database, its driver, or who writes JSON for them, says of one row for what it holds."""
SIZES = (64, 16, 4, 1)
"""Rows in one statement: the widest table stays far below the number of parameters that any database takes."""
Row = tuple[Any, ...]
_Names = tuple[str, ...]
_Bind = Callable[[Any], Any]


def insert_rows(connection: Connection, table: Table, names: _Names, rows: Sequence[Row]) -> None:
    """Insert rows, each the values of the named columns.

    Raises what the database raises, and then nothing is inserted.
    """
    if not rows:
        return
    given = [list(row) for row in rows]
    for index, bind in _binds(table, names, connection.dialect):
        for row in given:
            row[index] = bind(row[index])
    insert = _insert_json if connection.dialect.name == "postgresql" else _insert_values
    insert(connection, table, names, given)


def insert_once(engine: Engine, table: Any) -> Any:
    """Return an insert that leaves a row alone which is there already: first writer wins."""
    if engine.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    if engine.dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    # Not IGNORE: that would cut a long id, and pass over a user who is gone.
    return mysql.insert(table).on_duplicate_key_update(id=table.id)


def _insert_json(connection: Connection, table: Table, names: _Names, rows: list[list[Any]]) -> None:
    told = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows])
    connection.exec_driver_sql(_json_statement(table, names, connection.dialect), (told.decode(),))


def _insert_values(connection: Connection, table: Table, names: _Names, rows: list[list[Any]]) -> None:
    at = 0
    for size in SIZES:
        while len(rows) - at >= size:
            values = tuple(chain.from_iterable(rows[at : at + size]))
            connection.exec_driver_sql(_values_statement(table, names, connection.dialect, size), values)
            at += size


@lru_cache(maxsize=64)
def _binds(table: Table, names: _Names, dialect: Dialect) -> tuple[tuple[int, _Bind], ...]:
    """Return how the values of those columns are given to the driver that it doesn't take as they are."""
    kinds = (
        table.c[name].type.dialect_impl(dialect) for name in names
    )  # the dialect's own: SQLite keeps moments as text
    found = ((index, kind.bind_processor(dialect)) for index, kind in enumerate(kinds))
    return tuple((index, bind) for index, bind in found if bind is not None)


@lru_cache(maxsize=64)
def _json_statement(table: Table, names: _Names, dialect: Dialect) -> str:
    quote = dialect.identifier_preparer.format_column
    columns = ", ".join(quote(table.c[name]) for name in names)
    typed = ", ".join(f"{quote(table.c[name])} {table.c[name].type.compile(dialect)}" for name in names)
    told = f"json_to_recordset(%s::json) AS told ({typed})"
    return f"{_into(table, columns, dialect)} SELECT {columns} FROM {told}"  # noqa: S608 - names of our own tables


@lru_cache(maxsize=64)
def _values_statement(table: Table, names: _Names, dialect: Dialect, size: int) -> str:
    columns = ", ".join(dialect.identifier_preparer.format_column(table.c[name]) for name in names)
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    row = f"({', '.join([mark] * len(names))})"
    return f"{_into(table, columns, dialect)} VALUES {', '.join([row] * size)}"


def _into(table: Table, columns: str, dialect: Dialect) -> str:
    return f"INSERT INTO {dialect.identifier_preparer.format_table(table)} ({columns})"


def crossed(error: OperationalError) -> bool:
    """Whether two transactions waited for each other, and the database took this one back whole to let the other go."""
    return getattr(error.orig, "sqlstate", None) == "40P01" or getattr(error.orig, "args", ())[:1] == (1213,)
