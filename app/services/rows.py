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
from sqlalchemy import Connection, Table
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

REFUSED = (DataError, IntegrityError, OverflowError, UnicodeError, RecursionError)
"""What a database, its driver, or who writes JSON for them, says of one row for what it holds."""
SIZES = (64, 16, 4, 1)
"""Rows in one statement: the widest table stays far below the number of parameters that any database takes."""
Row = tuple[Any, ...]
_Names = tuple[str, ...]
_Bind = Callable[[Any], Any]


def insert_rows(connection: Connection, table: Table, names: _Names, rows: Sequence[Row], *, end: str = "") -> int:
    """Insert rows, each the values of the named columns; ``end`` says what of rows that are there already.

    Returns how many rows were made, as the database counts them. Raises what the database raises, and then nothing is
    inserted.
    """
    if not rows:
        return 0
    given = [list(row) for row in rows]
    for index, bind in _binds(table, names, connection.dialect):
        for row in given:
            row[index] = bind(row[index])
    insert = _insert_json if connection.dialect.name == "postgresql" else _insert_values
    return insert(connection, table, names, given, end)


def insert_once(connection: Connection, table: Table, names: _Names, rows: Sequence[Row]) -> int:
    """Insert rows, and leave those alone that are there already: first writer wins. Otherwise as ``insert_rows``."""
    # Not IGNORE for MySQL: that would cut a long id, and pass over a user who is gone.
    mysql = connection.dialect.name == "mysql"
    return insert_rows(
        connection, table, names, rows, end="ON DUPLICATE KEY UPDATE id = id" if mysql else "ON CONFLICT DO NOTHING"
    )


def _insert_json(connection: Connection, table: Table, names: _Names, rows: list[list[Any]], end: str) -> int:
    told = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows])
    statement = _json_statement(table, names, connection.dialect)
    return connection.exec_driver_sql(f"{statement} {end}", (told.decode(),)).rowcount


def _insert_values(connection: Connection, table: Table, names: _Names, rows: list[list[Any]], end: str) -> int:
    at = made = 0
    for size in SIZES:
        while len(rows) - at >= size:
            values = tuple(chain.from_iterable(rows[at : at + size]))
            statement = _values_statement(table, names, connection.dialect, size)
            made += connection.exec_driver_sql(f"{statement} {end}", values).rowcount
            at += size
    return made


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
