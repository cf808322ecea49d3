"""Records a page at a time: every one once, whatever is filtered, and none of anybody else's."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from sqlalchemy import event, func, select
from sqlalchemy import text as sql

from app.extensions import db
from app.models import Attempt, ConversationTotal, Record, Rollup
from app.models.base import utcnow
from app.services import history, posting
from app.services.history import Filter
from tests.services.writing import record

pytestmark = pytest.mark.any_database
AT = 1_800_000_000.0


def keep(*notes):
    with db.engine.begin() as connection:
        posting.post(connection, list(notes), again=False)


@pytest.fixture
def many(ctx):
    """A hundred of one user: several at each moment, every third failed, every tenth of another model."""
    kept = [
        record(
            n,
            at=AT + n // 4,
            status=500 if n % 3 == 0 else 200,
            model="rare" if n % 10 == 0 else "m",
            stream=n % 2 == 0,
            token_id=n % 5,
            reason="broken" if n % 6 == 0 else "",
            conversation="c" * 32 if n % 7 == 0 else "",
        )
        for n in range(100)
    ]
    keep(*kept, record(1000, user_id=2, at=AT))


def walk(wanted, limit=7):
    seen, after, pages = [], None, 0
    while True:
        page = history.page(wanted, after=after, limit=limit)
        assert len(page.records) <= limit
        seen += [int(row.id, 16) for row in page.records]
        after, pages = page.after, pages + 1
        assert pages < 200
        if after is None:
            return seen


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, lambda n: True),
        ({"token_id": 3}, lambda n: n % 5 == 3),
        ({"conversation": "c" * 32}, lambda n: n % 7 == 0),
        ({"status": "error"}, lambda n: n % 3 == 0),
        ({"status": "ok"}, lambda n: n % 3),
        ({"status": "500"}, lambda n: n % 3 == 0),
        ({"status": "404"}, lambda n: False),
        ({"model": "rare"}, lambda n: n % 10 == 0),
        ({"model": "rare", "status": "error", "stream": True}, lambda n: n % 30 == 0),
        ({"stream": False}, lambda n: n % 2),
        ({"end": "completed"}, lambda n: True),
        ({"reason": "broken"}, lambda n: n % 6 == 0),
        ({"reason": "-", "status": "error"}, lambda n: n % 3 == 0 and n % 2),
        ({"upstream_id": 9}, lambda n: False),
        ({"since": datetime.fromtimestamp(AT + 5, UTC)}, lambda n: n >= 20),
        ({"until": datetime.fromtimestamp(AT + 5, UTC)}, lambda n: n < 20),
    ],
)
@pytest.mark.parametrize("scan", [history.SCAN, 9])
def test_every_record_that_fits_comes_once_the_newest_first(many, monkeypatch, wanted, fits, scan):
    monkeypatch.setattr(history, "SCAN", scan)
    assert walk(Filter(user_id=1, **wanted)) == [n for n in reversed(range(100)) if fits(n)]


@contextmanager
def meanwhile(table, deed):
    """Do something right after each statement that reads a table, as another worker might."""

    reading = [True]

    def after(_connection, _cursor, statement, *_):
        if reading and statement.startswith("SELECT") and f"FROM {table}" in statement:
            reading.clear()
            deed()
            reading.append(True)

    event.listen(db.engine, "after_cursor_execute", after)
    try:
        yield
    finally:
        event.remove(db.engine, "after_cursor_execute", after)


def test_no_record_comes_twice_while_others_are_written(many, monkeypatch):
    monkeypatch.setattr(history, "SCAN", 9)
    newer = count(2000)
    with meanwhile("records", lambda: keep(record(next(newer), at=AT + 999))):
        seen = walk(Filter(user_id=1, end="completed"), limit=50)
    assert [n for n in seen if n < 2000] == [*reversed(range(100))]


def test_everybodys_records_are_for_whoever_may_see_them(many):
    assert sorted(walk(Filter())) == [*range(100), 1000]
    assert history.get(record(1000).id, user_id=1) is None
    assert history.get(record(1000).id).user_id == 2
    assert history.find("req_5").id == record(5).id
    assert [attempt.status for attempt in history.attempts(record(5).id)] == [500, 200]


def test_an_export_reads_all_of_them_in_portions(many, monkeypatch):
    monkeypatch.setattr(history, "EXPORT", 30)
    portions = [len(rows) for rows in history.every(db.engine, Filter(user_id=1))]
    assert portions == [30, 30, 30, 10]


def test_what_is_old_goes_with_its_attempts_and_the_sums_stay(ctx, monkeypatch):
    monkeypatch.setattr(history, "PRUNE", 3)
    now = utcnow()
    for n in range(10):
        at = (now - timedelta(days=n * 10, hours=1)).timestamp()
        keep(record(n, at=at, conversation=f"{n:032}"))
    assert history.prune(45) == 5
    assert history.prune(45) == 0
    with db.engine.connect() as connection:
        left = {
            table: connection.scalar(select(func.count()).select_from(table))
            for table in (Record, Attempt, ConversationTotal, Rollup)
        }
    assert left == {Record: 5, Attempt: 10, ConversationTotal: 5, Rollup: 10}


def test_a_conversation_that_is_heard_of_again_just_then_stays(ctx):
    now = utcnow()
    talk = {"conversation": "c" * 32, "cost": 5}
    keep(record(1, at=(now - timedelta(days=50)).timestamp(), **talk))
    said = iter([record(2, at=now.timestamp(), **talk)])
    with meanwhile("conversation_totals", lambda: keep(*said)):
        history.prune(45)
    assert db.session.scalars(select(ConversationTotal.cost_nanos)).all() == [10]


PLANS = {
    "a user": {"user_id": 1},
    "a user's later page": {"user_id": 1, "page": True},
    "a filter without an index": {"user_id": 1, "model": "rare", "status": "error"},
    "a token": {"token_id": 3},
    "tokens that followed each other": {"user_id": 1, "line": 3},
    "names with a beginning": {"user_id": 1, "model": "ra*"},
    "a conversation": {"user_id": 1, "conversation": "c" * 32},
    "everybody": {},
    "everybody, a status": {"status": "error"},
    "a span": {"since": datetime.fromtimestamp(AT, UTC), "until": datetime.fromtimestamp(AT + 9, UTC)},
}


@pytest.mark.acceptance("K-10")
@pytest.mark.parametrize("name", PLANS)
def test_no_page_scans_the_table(many, name):
    """As the database itself plans it; PostgreSQL is told that the table is large."""
    if db.engine.dialect.name == "mysql":
        return  # plans by the number of rows, and of few it reads all; its indexes are the same
    asked = dict(PLANS[name])
    after = (datetime.fromtimestamp(AT + 9, UTC), record(30).id) if asked.pop("page", False) else None
    statements = []

    def listen(_connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    event.listen(db.engine, "before_cursor_execute", listen)
    history.page(Filter(**asked), after=after)
    event.remove(db.engine, "before_cursor_execute", listen)
    assert statements
    with db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sql("SET enable_seqscan = off"))
            connection.execute(sql("SET enable_sort = off"))
        for statement, parameters in statements:
            explain = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
            plan = " ".join(str(row) for row in connection.exec_driver_sql(explain + statement, parameters))
            assert "ix_records" in plan
            assert "Seq Scan on records" not in plan
            assert "SCAN records'" not in plan
