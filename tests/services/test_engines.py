"""How each database is spoken to."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError

from app.extensions import db
from app.services.engines import engine_options, prepare

on_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
TICKING = """
import gevent.monkey; gevent.monkey.patch_all()
import sys, time
import gevent

gap = 0.0

def tick():
    global gap
    last = time.monotonic()
    while True:
        gevent.sleep(0.001)
        gap, last = max(gap, time.monotonic() - last), time.monotonic()
"""
"""Notes how long the hub was ever held up."""
PATIENT = (
    TICKING
    + """
from sqlalchemy import create_engine, text

engine = create_engine(sys.argv[1])
with engine.connect() as connection:
    ticker = gevent.spawn(tick)
    since = time.monotonic()
    connection.execute(text("SELECT SLEEP(1)"))
print(time.monotonic() - since, gap)
"""
)
on_mysql = pytest.mark.parametrize("database_kind", ["mysql"], indirect=True)
ROOT = Path(__file__).parents[2]
PATCHED = (
    TICKING
    + """
from pathlib import Path
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from app.services.engines import engine_options, prepare
from app.settings import Settings

folder = Path(sys.argv[1])
settings = Settings(data_dir=folder)
engine = create_engine(settings.database_url.get_secret_value(), **engine_options(settings))
prepare(engine)
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE t (x INTEGER PRIMARY KEY)"))
ticker = gevent.spawn(tick)
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT max(i) FROM n"
since = time.monotonic()
with engine.connect() as connection:
    assert connection.scalar(text(SLOW)) == 1000000
took = time.monotonic() - since
print(took, gap)
"""
)


@pytest.fixture
def engine(settings):
    made = create_engine(settings.database_url.get_secret_value(), **engine_options(settings))
    prepare(made)
    yield made
    made.dispose()


def scalar(engine, query):
    with engine.connect() as connection:
        return connection.scalar(text(query))


def test_sqlite_lets_readers_read_beside_a_writer_and_checks_foreign_keys(engine):
    assert scalar(engine, "PRAGMA journal_mode") == "wal"
    assert scalar(engine, "PRAGMA foreign_keys") == 1
    assert scalar(engine, "PRAGMA busy_timeout") == 5000
    with engine.begin() as writer:
        writer.execute(text("UPDATE meta SET value = value + 1"))
        assert scalar(engine, "SELECT value FROM meta WHERE name = 'generation'") == 1


def test_a_reference_to_nothing_is_refused(engine):
    row = "INSERT INTO tokens (user_id, name, digest, last4, created_at) VALUES (999, 'x', 'd', 'last', '2026-01-01')"
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text(row))


def test_sqlites_own_errors_come_through(engine):
    with pytest.raises(OperationalError, match="no such table"):
        scalar(engine, "SELECT * FROM nowhere")
    assert scalar(engine, "SELECT 1") == 1


def test_sqlite_never_holds_up_the_hub(tmp_path):
    """In the server, whose sockets are patched, a long query leaves the hub free for everybody else."""
    done = subprocess.run(
        [sys.executable, "-c", PATCHED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    took, gap = map(float, done.stdout.split())
    assert gap < took / 2


@on_postgresql
def test_postgresql_is_never_waited_for_without_end(engine):
    assert scalar(engine, "SHOW statement_timeout") == "5s"
    assert scalar(engine, "SHOW lock_timeout") == "4s"


@on_postgresql
def test_postgresql_compiles_no_statement_for_itself(engine):
    """That took longer than the sums of a month."""
    assert scalar(engine, "SHOW jit") == "off"


@on_postgresql
def test_a_connection_that_the_server_ended_is_replaced(engine):
    pid = scalar(engine, "SELECT pg_backend_pid()")
    another = create_engine(engine.url)
    with another.connect() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    another.dispose()
    assert scalar(engine, "SELECT 1") == 1


@on_mysql
def test_mysql_never_holds_up_the_hub(database_url):
    """Its driver is written in Python, and waits as its sockets do: patched, in the server."""
    done = subprocess.run(
        [sys.executable, "-c", PATIENT, database_url], cwd=ROOT, capture_output=True, text=True, check=True
    )
    took, gap = map(float, done.stdout.split())
    assert took >= 1
    assert gap < took / 2


@on_mysql
def test_mysql_waits_for_no_lock_without_end_and_cuts_nothing(engine):
    assert scalar(engine, "SELECT @@innodb_lock_wait_timeout") == 4
    assert "STRICT_ALL_TABLES" in scalar(engine, "SELECT @@sql_mode")
    with engine.connect() as connection:
        assert connection.connection.driver_connection._read_timeout == 5


@pytest.mark.any_database
def test_the_application_speaks_so_to_its_database(ctx):
    assert scalar(db.engine, "SELECT value FROM meta WHERE name = 'generation'") == 1
