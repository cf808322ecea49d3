"""Migrations on MySQL, which commits each step by itself: a step that a killed process has done is passed over."""

from __future__ import annotations

from typing import Any

from alembic.ddl.mysql import MySQLImpl
from sqlalchemy import Column, Index, Table, event, inspect
from sqlalchemy import column as column_of
from sqlalchemy import table as table_of
from sqlalchemy.dialects import mysql

COLLATION = "utf8mb4_bin"


class RepeatableImpl(MySQLImpl):
    """Takes the place of Alembic's own for this database: each step looks first whether it was done."""

    __dialect__ = "mysql"

    def create_table(self, table: Table, **kw: Any) -> None:
        """Create a table with its indexes."""
        if not self._has_table(table.name):
            super().create_table(table, **kw)

    def drop_table(self, table: Table, **kw: Any) -> None:
        """Drop a table."""
        if self._has_table(table.name):
            super().drop_table(table, **kw)

    def create_index(self, index: Index, **kw: Any) -> None:
        """Create an index."""
        if not self._has_index(index):
            super().create_index(index, **kw)

    def drop_index(self, index: Index, **kw: Any) -> None:
        """Drop an index."""
        if self._has_index(index):
            super().drop_index(index, **kw)

    def add_column(self, table_name: str, column: Column[Any], **kw: Any) -> None:
        """Add a column."""
        if not self._has_column(table_name, column.name):
            super().add_column(table_name, column, **kw)

    def drop_column(self, table_name: str, column: Column[Any], **kw: Any) -> None:
        """Drop a column."""
        if self._has_column(table_name, column.name):
            super().drop_column(table_name, column, **kw)

    def bulk_insert(self, table: Any, rows: list[dict[str, Any]], multiinsert: bool = True) -> None:  # noqa: FBT001, FBT002 - Alembic's own signature
        """Insert the rows that aren't there yet."""
        for row in rows:
            untyped = table_of(table.name, *map(column_of, row))  # the driver knows best how each value is said
            self._exec(mysql.insert(untyped).values(**row).prefix_with("IGNORE"))

    def _has_table(self, name: str) -> bool:
        return bool(inspect(self._asked()).has_table(name))

    def _has_column(self, table: str, name: str) -> bool:
        return name in {column["name"] for column in inspect(self._asked()).get_columns(table)}

    def _has_index(self, index: Index) -> bool:
        if index.table is None or index.name is None:
            return False
        return index.name in {found["name"] for found in inspect(self._asked()).get_indexes(index.table.name)}

    def _asked(self) -> Any:
        return self.connection


def compare_by_bytes() -> None:
    """Let each new table of MySQL compare text by code points, as the other databases do; the rest pass over it."""
    if not event.contains(Table, "before_create", _collate):
        event.listen(Table, "before_create", _collate)


def _collate(table: Table, *_: Any, **__: Any) -> None:
    table.dialect_options["mysql"].update(charset="utf8mb4", collate=COLLATION)
    table.kwargs.update(mysql_charset="utf8mb4", mysql_collate=COLLATION)
