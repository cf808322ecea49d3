"""The column types that rows share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import BigInteger, DateTime, Integer, LargeBinary, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

BigId = BigInteger().with_variant(Integer, "sqlite")
"""An autoincrementing key: SQLite gives rowids to INTEGER only."""
UTF8_MAX = 4
"""Bytes of one character, at most."""


def utcnow() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def exact(length: int) -> TypeEngine[str]:
    """Return a text type that compares byte by byte on every database, as ids and digests must."""
    sized = String(length).with_variant(String(length, collation="C"), "postgresql")
    return sized.with_variant(_Bytes(length * UTF8_MAX), "mysql")


class _Bytes(TypeDecorator[str]):
    """Text kept as its bytes: MySQL's text comparison ignores trailing spaces, and would make two users' ids one."""

    impl = mysql.VARBINARY
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.encode()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else value.decode()


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC moment; refuses naive ones. SQLite and MySQL keep no zone."""

    impl = DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=6), "mysql")
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Return what makes a moment the driver's; for SQLite text at once, which is a fifth of the work."""
        return _sqlite_moment if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        value = _in_utc(value)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment needs its time zone")
    return moment.astimezone(UTC)


def _sqlite_moment(moment: datetime | None) -> str | None:
    """Return a moment as SQLAlchemy keeps it in SQLite: without its zone."""
    return None if moment is None else _in_utc(moment).isoformat(" ", "microseconds")[: -len("+00:00")]


class Json(TypeDecorator[Any]):
    """A JSON value kept as text, so that every database gives back what it was given."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


class Declarable:
    """A row that a configuration file may have made: only such rows does ``flask apply`` change unasked."""

    declared: Mapped[bool] = mapped_column(default=False, server_default="0")


Sealed = LargeBinary
"""A secret that only the vault can open."""
