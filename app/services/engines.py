"""How each database is spoken to, so that none of them ever holds up the hub.

psycopg waits cooperatively by itself, PyMySQL on sockets that the worker has patched. SQLite's C calls would block, so
each of its statements runs in the hub's threadpool; where nobody else would run meanwhile (a scribe, the command line,
unit tests) they run where they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import gevent
from gevent.monkey import is_module_patched
from sqlalchemy import Engine, event

from app.settings import Settings

BUSY_S = 5
POSTGRESQL = {"connect_timeout": 5, "options": "-c statement_timeout=5000 -c lock_timeout=4000 -c jit=off"}
"""Without compiling statements for themselves: what pages ask is over before that would be done."""
MYSQL = {
    "connect_timeout": 5,
    "read_timeout": 5,
    "write_timeout": 5,
    # Strict, whatever the server says by itself: a text that is too long must be refused, not cut.
    "init_command": "SET SESSION innodb_lock_wait_timeout = 4, time_zone = '+00:00', "
    "sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
}
"""With PostgreSQL's isolation (READ COMMITTED), so that what a change checks under its lock is the present state."""
_T = TypeVar("_T")
_process = SimpleNamespace(alone=False)


def engine_options(settings: Settings) -> dict[str, Any]:
    """Return what ``create_engine`` needs beyond the URL."""
    if settings.embedded:
        return {"connect_args": {"factory": _Connection, "timeout": BUSY_S, "check_same_thread": False}}
    pool = {"pool_pre_ping": True, "pool_size": 5, "max_overflow": 10, "pool_timeout": 5}
    if settings.database_url.get_secret_value().startswith("mysql"):
        return pool | {"isolation_level": "READ COMMITTED", "connect_args": MYSQL}
    return pool | {"connect_args": POSTGRESQL}


def prepare(engine: Engine) -> None:
    """Set each new SQLite connection up for concurrent readers and foreign keys."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)


def stand_alone() -> None:
    """Nobody else runs in this process from here on."""
    _process.alone = True


def _set_pragmas(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _aside(function: Callable[..., _T], *args: Any) -> _T:
    if _process.alone or not is_module_patched("socket"):
        return function(*args)
    result, error = gevent.get_hub().threadpool.apply(_outcome, (function, args))
    if error is not None:
        raise error
    return cast("_T", result)


def _outcome(function: Callable[..., _T], args: tuple[Any, ...]) -> tuple[_T | None, sqlite3.Error | None]:
    """Carry an error back as a value: the threadpool would print each one that is raised in it."""
    try:
        return function(*args), None
    except sqlite3.Error as error:
        return None, error


class _Cursor(sqlite3.Cursor):
    def execute(self, *args: Any) -> _Cursor:
        _aside(super().execute, *args)
        return self

    def executemany(self, *args: Any) -> _Cursor:
        _aside(super().executemany, *args)
        return self

    def fetchall(self) -> list[Any]:
        return _aside(super().fetchall)


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or _Cursor)

    def commit(self) -> None:
        _aside(super().commit)

    def rollback(self) -> None:
        _aside(super().rollback)
