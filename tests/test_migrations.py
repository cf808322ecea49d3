"""Migrations from nothing to this release, on every database, alone and in a crowd."""

import fcntl
import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from flask import Flask
from sqlalchemy import create_engine, inspect, pool, select, text

from app.extensions import Base, db, migrate
from app.models import Meta
from app.services import schema
from tests import databases

ROOT = Path(__file__).parents[1]
META = [("generation", 1), ("looked", 0), ("pending_look", 0), ("pending_seen", 0)]
UPGRADE = """
    import sys
    from flask import Flask
    from app.extensions import db
    from app.services import schema

    app = Flask("upgrade")
    app.config["SQLALCHEMY_DATABASE_URI"] = sys.argv[1]
    db.init_app(app)
    with app.app_context():
        print("ready", flush=True)
        sys.stdin.readline()
        schema.upgrade()
"""


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def empty_url(request, tmp_path, worker_name):
    """An empty database that nobody has migrated."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/realms.db"
        return
    make = databases.postgresql_database if request.param == "postgresql" else databases.mysql_database
    with make(f"realms_migrations_{worker_name}_{os.getpid()}") as url:
        yield url


@pytest.fixture
def engine(empty_url):
    return create_engine(empty_url, poolclass=pool.NullPool)


@pytest.fixture
def small_app(empty_url):
    app = Flask("migrations")
    app.config["SQLALCHEMY_DATABASE_URI"] = empty_url
    db.init_app(app)
    migrate.init_app(app, db, directory=str(schema.MIGRATIONS))
    with app.app_context():
        yield app
        db.engine.dispose()


def start(url):
    """A process that waits for a line before it upgrades."""
    command = [sys.executable, "-c", textwrap.dedent(UPGRADE), url]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def finish(process):
    with process:
        process.stdin.close()
        return process.wait(60)


def meta(engine):
    with engine.connect() as connection:
        return connection.execute(select(Meta.name, Meta.value)).all()


def test_an_empty_database_is_behind_until_it_is_upgraded(small_app, engine):
    assert schema.is_behind(engine)
    schema.upgrade()
    assert not schema.is_behind(engine)
    schema.upgrade()
    assert meta(engine) == META


def test_the_migrations_make_exactly_the_tables_of_the_models(small_app, engine):
    schema.upgrade()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_collations_and_foreign_keys_are_those_of_the_models(small_app, engine):
    """Alembic compares neither."""
    schema.upgrade()
    found = inspect(engine)
    for table in Base.metadata.sorted_tables:
        columns = {column["name"]: column["type"] for column in found.get_columns(table.name)}
        for column in table.columns:
            wanted = getattr(column.type.dialect_impl(engine.dialect), "collation", None)
            assert getattr(columns[column.name], "collation", None) == wanted, (table.name, column.name)
        kept = {
            (key["constrained_columns"][0], key["options"].get("ondelete"))
            for key in found.get_foreign_keys(table.name)
        }
        assert kept == {(key.parent.name, key.ondelete) for key in table.foreign_keys}, table.name


def test_a_database_of_a_newer_release_is_not_behind(small_app, engine):
    schema.upgrade()
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert not schema.is_behind(engine)


def test_flask_db_upgrade_migrates(small_app, engine):
    result = small_app.test_cli_runner().invoke(args=["db", "upgrade"])
    assert result.exit_code == 0, result.output
    assert not schema.is_behind(engine)


@pytest.mark.slow
@pytest.mark.fault("X-22")
def test_processes_that_upgrade_at_once_all_succeed(empty_url, engine):
    processes = [start(empty_url) for _ in range(3)]
    for process in processes:
        go(process)
    assert [finish(process) for process in processes] == [0] * 3
    assert not schema.is_behind(engine)
    assert meta(engine) == META


def test_an_upgrade_waits_while_another_process_is_at_it(empty_url, engine, tmp_path):
    process = start(empty_url)
    with held(engine, tmp_path):
        go(process)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        assert schema.is_behind(engine)
    assert finish(process) == 0
    assert not schema.is_behind(engine)


@pytest.mark.slow
@pytest.mark.fault("X-22")
def test_a_killed_upgrade_leaves_nothing_half_done_and_the_next_completes(empty_url, engine):
    """The process is killed at a random moment, several times; each time all tables are there or none, if the database can."""
    for delay in (0.0, 0.01, 0.05):
        process = start(empty_url)
        go(process)
        try:
            process.wait(delay)
        except subprocess.TimeoutExpired:
            process.kill()
        with process:
            process.stdin.close()
            process.wait(60)
        with engine.connect() as connection:
            tables = set(inspect(connection).get_table_names()) - {"alembic_version", "sqlite_sequence"}
        if engine.dialect.name != "mysql":  # which commits each step by itself; the next run goes on from there
            assert tables in (set(), set(Base.metadata.tables))
    process = start(empty_url)
    go(process)
    assert finish(process) == 0
    assert not schema.is_behind(engine)


@contextmanager
def held(engine, tmp_path):
    """Hold the lock that an upgrade takes, as another process would."""
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(7236091544)"))
            yield
    elif engine.dialect.name == "mysql":
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT GET_LOCK(CONCAT('realms.', MD5(DATABASE())), 0)")) == 1
            yield
    else:
        with (tmp_path / "realms.db.migrating").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
