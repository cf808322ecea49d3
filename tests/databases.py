"""Databases for tests: a fresh SQLite file for each test, one of each server for each run and worker."""

import os
import shutil
from contextlib import contextmanager

import psycopg
import pytest
from flask import Flask
from psycopg import sql
from sqlalchemy import create_engine, make_url, pool, text
from sqlalchemy.exc import OperationalError

from app.extensions import Base, db
from app.services import schema

SERVER = os.environ.get("REALMS_TEST_POSTGRESQL", "postgresql://root@127.0.0.1:5432/postgres")
MYSQL_SERVER = os.environ.get(
    "REALMS_TEST_MYSQL", "mysql+pymysql://root@localhost/mysql?unix_socket=/run/mysqld/mysqld.sock"
)
"""Where databases may be created."""


def migrate(url: str) -> None:
    """Bring the database at `url` to this release, as `flask db upgrade` does."""
    app = Flask("migrations")
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db.init_app(app)
    with app.app_context():
        schema.upgrade()
        db.engine.dispose()


@contextmanager
def sqlite_template(folder):
    """Yield a migrated SQLite file, to be copied."""
    path = folder / "template.db"
    migrate(f"sqlite:///{path}")
    yield path


def copy_of(template, path):
    shutil.copyfile(template, path)
    return f"sqlite:///{path}"


@contextmanager
def postgresql_database(name: str):
    """Yield the URL of an empty PostgreSQL database and drop it; without a server skip, or fail where CI says so."""
    try:
        server = psycopg.connect(SERVER, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        _leave_out("PostgreSQL", error)
    named = sql.Identifier(name)
    with server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(named))
        server.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(named))
        try:
            info = server.info
            yield f"postgresql+psycopg://{info.user}:{info.password}@{info.host}:{info.port}/{name}"
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(named))


def _leave_out(server, error):
    told = f"{server} is away, so nothing is tested on it: {error}"
    if os.environ.get("CI") == "true":
        pytest.fail(told)
    pytest.skip(told)


@contextmanager
def mysql_database(name: str):
    """Yield the URL of an empty database on MySQL or MariaDB and drop it.

    Its user may do nothing elsewhere, and its collation is the least careful one.
    """
    try:
        on_mysql(
            "SET GLOBAL innodb_flush_log_at_trx_commit = 2",  # until the server starts again: tests need no power loss
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
            f"CREATE USER {name}@localhost IDENTIFIED BY '{name}'",
            f"GRANT ALL ON {name}.* TO {name}@localhost",
        )
    except OperationalError as error:
        _leave_out("MySQL", error)
    try:
        url = make_url(MYSQL_SERVER).set(username=name, password=name, database=name)
        yield url.render_as_string(hide_password=False)
    finally:
        on_mysql(f"DROP DATABASE {name}", f"DROP USER {name}@localhost")


def on_mysql(*statements):
    """Run statements as the server's administrator; return the rows of the last, if it has any."""
    server = create_engine(MYSQL_SERVER, poolclass=pool.NullPool, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        results = [connection.execute(text(statement)) for statement in statements]
        return results[-1].all() if results[-1].returns_rows else []


@contextmanager
def mysql_away(name):
    """Let the server refuse a database's user, and end what connections it has."""
    on_mysql(f"ALTER USER {name}@localhost ACCOUNT LOCK")
    try:
        for (number,) in on_mysql(f"SELECT id FROM information_schema.processlist WHERE user = '{name}'"):
            on_mysql(f"KILL {number}")
        yield
    finally:
        on_mysql(f"ALTER USER {name}@localhost ACCOUNT UNLOCK")


FIRST = (
    "INSERT INTO meta (name, value) VALUES ('generation', 1), ('looked', 0), ('pending_look', 0), ('pending_seen', 0)"
)
"""What a migration leaves."""


def empty(url: str) -> None:
    """Take a migrated database of a server back to how a migration leaves it; TRUNCATE would take ten times as long."""
    if url.startswith("mysql"):
        _empty_mysql(url)
        return
    deletes = [f"DELETE FROM {table.name}" for table in reversed(Base.metadata.sorted_tables)]
    restart = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("; ".join([*deletes, restart, FIRST]))


def _empty_mysql(url):
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            gone = connection.execute(table.delete()).rowcount
            if gone and table.autoincrement_column is not None:
                connection.execute(text(f"ALTER TABLE {table.name} AUTO_INCREMENT = 1"))
        connection.execute(text(FIRST))
