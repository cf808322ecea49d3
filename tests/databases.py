"""Databases for tests: a fresh SQLite file for each test, one PostgreSQL database for each run and worker."""

import os
import shutil
from contextlib import contextmanager

import psycopg
import pytest
from flask import Flask
from psycopg import sql

from app.extensions import Base, db
from app.services import schema

SERVER = os.environ.get("REALMS_TEST_POSTGRESQL", "postgresql://root@127.0.0.1:5432/postgres")
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
        told = f"PostgreSQL is away, so nothing is tested on it: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    named = sql.Identifier(name)
    with server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(named))
        server.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(named))
        try:
            info = server.info
            yield f"postgresql+psycopg://{info.user}:{info.password}@{info.host}:{info.port}/{name}"
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(named))


def empty(url: str) -> None:
    """Take a migrated PostgreSQL database back to how a migration leaves it; TRUNCATE would take ten times as long."""
    deletes = [f"DELETE FROM {table.name}" for table in reversed(Base.metadata.sorted_tables)]
    restart = "SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'"
    first = "INSERT INTO meta (name, value) VALUES ('generation', 1)"
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("; ".join([*deletes, restart, first]))
