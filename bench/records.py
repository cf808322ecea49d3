"""How long pages take over many records: ``python -m bench.records [postgresql|sqlite] COUNT``.

Makes a database of its own with COUNT records of 90 days, their sums and conversations, asks what the pages ask, and
drops it. One user of fifty made four requests in ten; each model has one upstream. Times are of the
queries, p50 and p95 of many runs, in ms.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from flask import Flask
from psycopg import sql
from sqlalchemy import Engine, create_engine, text

from app.extensions import db
from app.protocol.limit import Measure, Rule, spans
from app.services import history, posting, reports, schema
from app.services.history import Filter
from app.services.posting import SUMS
from app.services.reports import Scope
from app.services.spent import Spent
from tests.services.writing import record

SERVER = "postgresql://root@127.0.0.1:5432/postgres"
RUNS = 40
DAYS = 90
AT_ONCE = 500_000
USER = "CASE WHEN n % 10 < 4 THEN 1 ELSE 2 + n % 49 END"
COLUMNS = {
    "id": "{id}",
    "at": "{at}",
    "request_id": "{id}",
    "user_id": USER,
    "token_id": f"({USER}) * 4 + n % 4",
    "endpoint": "'responses.create'",
    "protocol": "'openai'",
    "model": "'model-' || (n % 17)",
    "upstream_model": "''",
    "upstream_id": "1 + n % 17 % 5",
    "credential_id": "1 + n % 5",
    "stream": "n % 3 {true}",
    "status": "CASE WHEN n % 101 = 0 THEN 502 ELSE 200 END",
    '"end"': "CASE WHEN n % 101 = 0 THEN 'refused' ELSE 'completed' END",
    "reason": "''",
    "total_ms": "100 + n % 5000",
    "bytes_in": "4000",
    "bytes_out": "9000",
    "usage_state": "'reported'",
    "input_tokens": "n % 1000",
    "cache_read_tokens": "n % 7000",
    "output_tokens": "n % 800",
    "usage_raw": '\'{{"input_tokens":8000,"output_tokens":800,"total_tokens":8800}}\'',
    "cost_nanos": "n % 90000000",
    "price": '\'{{"id":1,"input":1250000000,"cache_read":125000000,"output":10000000000}}\'',
    "conversation": "{conversation}",
}
DIALECTS = {
    "postgresql": {
        "series": "FROM generate_series({first}, {last}) AS n",
        "id": "lpad(to_hex(n), 32, '0')",
        "at": "TIMESTAMPTZ '{start}' + n * INTERVAL '{step} microseconds'",
        "true": "= 0",
        "conversation": "lpad(to_hex(n / 20), 32, '0')",
        "hour": "date_trunc('hour', at)",
    },
    "sqlite": {
        "series": "FROM (WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) "
        "SELECT n FROM s)",
        "id": "printf('%032x', n)",
        "at": "strftime('%Y-%m-%d %H:%M:%S', '{start}', '+' || (n * {step} / 1000000) || ' seconds') || '.000000'",
        "true": "= 0",
        "conversation": "printf('%032x', n / 20)",
        "hour": "strftime('%Y-%m-%d %H:00:00.000000', at)",
    },
}


@contextmanager
def database(kind: str) -> Iterator[str]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'realms.db'}"
        return
    name = sql.Identifier("realms_bench_records")
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield SERVER.replace("postgresql:", "postgresql+psycopg:").replace("/postgres", "/realms_bench_records")
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def fill(engine: Engine, count: int) -> None:
    words = DIALECTS[engine.dialect.name]
    start = (datetime.now(UTC) - timedelta(days=DAYS)).strftime("%Y-%m-%d %H:%M:%S")
    step = DAYS * 86_400_000_000 // count
    names, values = ", ".join(COLUMNS), ", ".join(COLUMNS.values())
    for first in range(0, count, AT_ONCE):
        told = words | {"at": words["at"].format(start=start, step=step)}
        source = words["series"].format(first=first, last=min(first + AT_ONCE, count) - 1)
        with engine.begin() as connection:
            statement = f"INSERT INTO records ({names}) SELECT {values.format(**told)} {source}"
            driver = connection.dialect.driver
            connection.exec_driver_sql(statement.replace("%", "%%") if driver == "psycopg" else statement)
    key = f"{words['hour']}, user_id, token_id, model, upstream_id"
    day = key.replace(words["hour"], words["hour"].replace("'hour'", "'day'").replace("%H:", "00:"))
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO rollups (hour, user_id, token_id, model, upstream_id, {', '.join(SUMS)}) "
            f"SELECT {key}, {sums()} FROM records GROUP BY {key}"
        )
        connection.exec_driver_sql(
            f"INSERT INTO daily_rollups (day, user_id, token_id, model, upstream_id, {', '.join(SUMS)}) "
            f"SELECT {day}, {sums()} FROM records GROUP BY {day}"
        )
        connection.exec_driver_sql(
            f"INSERT INTO conversation_totals (user_id, key, first_at, last_at, {', '.join(SUMS)}) "
            f"SELECT user_id, conversation, min(at), max(at), {sums()} FROM records GROUP BY user_id, conversation"
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"))


def sums() -> str:
    columns = {"requests": "1", "errors": "CASE WHEN status >= 400 THEN 1 ELSE 0 END", "unpriced": "0"}
    columns |= {"cache_write_tokens": "0", "reasoning_tokens": "0"}
    return ", ".join(f"sum({columns.get(name, name)})" for name in SUMS)


def pages(count: int) -> Iterator[tuple[str, Callable[[], object]]]:
    now = datetime.now(UTC)
    middle = (now - timedelta(days=DAYS // 2), "f" * 32)
    mine = Scope(user_id=1)
    money = Rule("user", 1, Measure.MONTH, 1)
    month = spans(now.timestamp())[Measure.MONTH]
    spent = Spent(db.engine)
    yield (
        "dashboard: sums of 1, 7 and 30 days",
        lambda: [reports.totals(mine, reports.days_ago(n, now)) for n in (0, 6, 29)],
    )
    yield "dashboard: 30 days by model", lambda: reports.grouped(mine, "model", reports.days_ago(29, now))
    yield "dashboard: 30 days by day", lambda: reports.grouped(mine, "day", reports.days_ago(29, now))
    yield "administration: everybody's 30 days", lambda: reports.totals(Scope(), reports.days_ago(29, now))
    for name, wanted in (
        ("usage", Filter(user_id=1)),
        ("usage, of a token", Filter(token_id=5)),
        ("usage, of a model", Filter(user_id=1, model="model-3")),
        ("usage, errors", Filter(user_id=1, status="error")),
        ("usage, a filter that nothing fits", Filter(user_id=1, status="418")),
        ("usage, a day", Filter(user_id=1, since=now - timedelta(days=40), until=now - timedelta(days=39))),
        ("all requests", Filter()),
        ("all requests, errors at an upstream", Filter(status="error", upstream_id=2)),
    ):
        yield f"{name}: first page", lambda wanted=wanted: history.page(wanted)
        yield f"{name}: a page in the middle", lambda wanted=wanted: history.page(wanted, after=middle)
    yield "CSV of requests: the first portion", lambda: next(history.every(db.engine, Filter(user_id=1)))
    yield "conversations", lambda: reports.conversations(1)
    yield "limits: spent this month", spent.under(money, month)
    numbers = iter(range(10**9, 10**9 + 10**6, 50))

    def insert() -> None:
        first = next(numbers)
        at = now.timestamp()
        with db.engine.begin() as connection:
            posting.post(connection, [record(first + n, at=at + n / 1000, cost=n) for n in range(50)], again=False)

    yield "50 records and their sums written", insert


def measure(query: Callable[[], object]) -> tuple[float, float]:
    took = []
    for _ in range(RUNS):
        start = time.perf_counter()
        query()
        took.append((time.perf_counter() - start) * 1000)
        db.session.rollback()
    took.sort()
    return took[RUNS // 2], took[int(RUNS * 0.95)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=list(DIALECTS))
    parser.add_argument("count", type=int)
    told = parser.parse_args()
    with database(told.kind) as url:
        app = Flask("bench")
        app.config["SQLALCHEMY_DATABASE_URI"] = url
        db.init_app(app)
        with app.app_context():
            schema.upgrade()
            start = time.perf_counter()
            engine = create_engine(url)
            fill(engine, told.count)
            engine.dispose()
            print(f"{told.kind}, {told.count:,} records, made in {time.perf_counter() - start:.0f} s")
            print(f"{'p50':>8} {'p95':>8}  ms")
            for name, query in pages(told.count):
                median, high = measure(query)
                print(f"{median:8.1f} {high:8.1f}  {name}", flush=True)
            db.engine.dispose()


if __name__ == "__main__":
    main()
