"""How long pages take over many records: ``python -m bench.records [postgresql|sqlite] COUNT``.

Makes a database of its own with COUNT records of 90 days, their sums and conversations, opens the pages and asks what
they ask, and drops it. One user of fifty, who is an administrator, made four requests in ten; each model has one
upstream. Times are the lowest (a busy machine only ever adds), p50 and p95 of many runs, in ms: of whole pages within
this process, of single queries, and of what a worker writes, by turns into this database and into an empty one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Engine, create_engine, text, update

from app import create_app
from app.extensions import db
from app.models import User
from app.protocol.limit import ALWAYS, Measure, Rule, spans
from app.services import accounts, posting, reports, schema
from app.services.posting import SUMS
from app.services.reports import Scope
from app.services.spent import Spent
from app.settings import Settings
from app.web import records
from tests.conftest import PASSWORD
from tests.databases import migrate
from tests.rooms import ADMIN, Browser
from tests.services.writing import record

Case = tuple[str, Callable[[], object]]
SERVER = "postgresql://root@127.0.0.1:5432/postgres"
RUNS = 40
DAYS = 90
ZONE = "Asia/Shanghai"
"""Whose days aren't those that sums are kept by."""
AT_ONCE = 500_000
FILTERS = [
    "",
    "token=5",
    "model=model-3",
    "status=error",
    "status=418",
    "stream=1&end=completed",
    "since={day}&until={day}",
]
PAGES = ["/", "/?days=30", "/usage/conversations", "/admin", "/admin/upstreams"]
CSV = ["/usage/requests.csv", "/usage/requests.csv?status=error", "/usage/hours.csv", "/usage/days.csv"]
CSV += [f"/admin/requests{by}.csv" for by in ("", "-model", "-user_id", "-token_id", "-hour", "-day")]
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
def database(kind: str, called: str) -> Iterator[str]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'realms.db'}"
        return
    name = sql.Identifier(called)
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield SERVER.replace("postgresql:", "postgresql+psycopg:").replace("/postgres", f"/{called}")
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def fill(engine: Engine, count: int) -> None:
    words = DIALECTS[engine.dialect.name]
    start = (datetime.now(UTC) - timedelta(days=DAYS)).strftime("%Y-%m-%d %H:%M:%S")
    step = DAYS * 86_400_000_000 // count
    names, values = ", ".join(COLUMNS), ", ".join(COLUMNS.values())
    indexes = without_indexes(engine)
    for first in range(0, count, AT_ONCE):
        told = words | {"at": words["at"].format(start=start, step=step)}
        source = words["series"].format(first=first, last=min(first + AT_ONCE, count) - 1)
        with engine.begin() as connection:
            statement = f"INSERT INTO records ({names}) SELECT {values.format(**told)} {source}"
            driver = connection.dialect.driver
            connection.exec_driver_sql(statement.replace("%", "%%") if driver == "psycopg" else statement)
    with engine.begin() as connection:
        for index in indexes:
            connection.exec_driver_sql(index)
    key = f"{words['hour']}, user_id, token_id, model, upstream_id"
    day = key.replace(words["hour"], words["hour"].replace("'hour'", "'day'").replace("%H:", "00:"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL work_mem = '1GB'"))
        connection.exec_driver_sql(
            f"INSERT INTO rollups (hour, user_id, token_id, model, upstream_id, {', '.join(SUMS)}) "
            f"SELECT {key}, {sums()} FROM records GROUP BY {key} ORDER BY {key}"  # they grow with time
        )
        connection.exec_driver_sql(
            f"INSERT INTO daily_rollups (day, user_id, token_id, model, upstream_id, {', '.join(SUMS)}) "
            f"SELECT {day}, {sums()} FROM records GROUP BY {day} ORDER BY {day}"
        )
        connection.exec_driver_sql(
            f"INSERT INTO conversation_totals (user_id, key, first_at, last_at, {', '.join(SUMS)}) "
            f"SELECT user_id, conversation, min(at), max(at), {sums()} FROM records "
            "GROUP BY user_id, conversation ORDER BY min(at)"
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if engine.dialect.name == "sqlite" else "VACUUM ANALYZE"))


def without_indexes(engine: Engine) -> list[str]:
    """Take the indexes of records away, which takes half of the time, and return what makes them again."""
    if engine.dialect.name == "sqlite":
        told = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'records' AND sql IS NOT NULL"
    else:
        told = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'records' AND indexname LIKE 'ix%'"
    with engine.begin() as connection:
        found = connection.execute(text(told)).all()
        for name, _ in found:
            connection.execute(text(f"DROP INDEX {name}"))
    return [made for _, made in found]


def sums() -> str:
    columns = {"requests": "1", "errors": "CASE WHEN status >= 400 THEN 1 ELSE 0 END", "unpriced": "0"}
    columns |= {"cache_write_tokens": "0", "reasoning_tokens": "0"}
    return ", ".join(f"sum({columns.get(name, name)})" for name in SUMS)


def pages(browser: Browser) -> Iterator[Case]:
    """Whole pages, as the rooms answer them."""
    middle = records.written((datetime.now(UTC) - timedelta(days=DAYS // 2), "f" * 32))
    day = (datetime.now(UTC) - timedelta(days=40)).date().isoformat()
    for path, filters in (("/usage", FILTERS), ("/admin/requests", [*FILTERS, "user=7", "upstream=2&status=error"])):
        for asked in [each.format(day=day) for each in filters]:
            yield f"{path}?{asked}".rstrip("?"), lambda path=path, asked=asked: seen(browser, f"{path}?{asked}")
            later = f"{path}?{asked}&after={middle}"
            yield f"{path}?{asked}".rstrip("?") + ", a page in the middle", lambda later=later: seen(browser, later)
    yield from sums_of(browser)


def sums_of(browser: Browser, where: str = "") -> Iterator[Case]:
    """What is added up of hours or days."""
    for path in PAGES:
        yield f"{path}{where}", lambda path=path: seen(browser, path)
    for path in CSV:
        yield f"{path}{where}: the first line", lambda path=path: begun(browser, path)


def seen(browser: Browser, path: str) -> None:
    page = browser.client.get(path)
    assert page.status_code == 200, (path, page.status)


def begun(browser: Browser, path: str) -> None:
    answer = browser.client.get(path, buffered=False)
    assert answer.status_code == 200, (path, answer.status)
    chunks, lines = answer.iter_encoded(), b""
    while lines.count(b"\n") < 2:
        lines += next(chunks)
    answer.close()


def queries() -> Iterator[Case]:
    """What no page asks in this way, or asks of one place among many."""
    now = datetime.now(UTC)
    money = Rule("user", 1, Measure.MONTH, 1)
    spent = Spent(db.engine)
    mine = Scope(user_id=1)
    yield "sums of 30 days by the hour", lambda: reports.grouped(mine, "hour", reports.days_ago(29, now))
    yield "limits: spent this month", spent.under(money, spans(now.timestamp())[Measure.MONTH])
    yield "limits: spent in all", spent.under(money, ALWAYS)


def writing(url: str) -> Callable[[], None]:
    numbers = iter(range(10**11, 10**11 + 10**6, 50))
    engine = create_engine(url)

    def insert() -> None:
        n, at = next(numbers), datetime.now(UTC).timestamp()
        with engine.begin() as connection:
            posting.post(connection, [record(n + more, at=at + more / 1000, cost=n) for more in range(50)], again=False)

    return insert


def tell(cases: Iterable[Case]) -> None:
    """Run these so many times, by turns, and print how long each took."""
    told = list(cases)
    took: list[list[float]] = [[] for _ in told]
    for _ in range(RUNS):
        for (_name, act), times in zip(told, took, strict=True):
            start = time.perf_counter()
            act()
            times.append((time.perf_counter() - start) * 1000)
    for (name, _act), times in zip(told, took, strict=True):
        times.sort()
        print(f"{times[0]:8.1f} {times[RUNS // 2]:8.1f} {times[int(RUNS * 0.95)]:8.1f}  {name}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=list(DIALECTS))
    parser.add_argument("count", type=int)
    told = parser.parse_args()
    with (
        database(told.kind, "realms_bench_records") as url,
        database(told.kind, "realms_bench_empty") as empty,
        tempfile.TemporaryDirectory() as folder,
    ):
        migrate(empty)
        app = create_app(settings(url, Path(folder)))
        with app.app_context():
            schema.upgrade()
            accounts.create_user(email=ADMIN, password=PASSWORD, role="admin", actor=None)
            start = time.perf_counter()
            engine = create_engine(url)  # without the time limits that the application's statements have
            fill(engine, told.count)
            engine.dispose()
            took = time.perf_counter() - start
            print(
                f"{'lowest':>8} {'p50':>8} {'p95':>8}  ms, {told.kind}, {told.count:,} records, made in {took:.0f} s",
                flush=True,
            )
            written = "50 records and their sums written"
            tell([(written, writing(url)), (f"{written} into an empty database", writing(empty))])
            for case in queries():
                tell([case])
        browser = Browser(app).sign_in(ADMIN)
        for case in pages(browser):  # each request in a context of its own, as in a server
            tell([case])
        with app.app_context():
            db.session.execute(update(User).values(time_zone=ZONE))
            db.session.commit()
        for case in sums_of(browser, f" in {ZONE}"):
            tell([case])
        with app.app_context():
            db.engine.dispose()


def settings(url: str, folder: Path) -> Settings:
    keys = {"secret_key": SecretStr("b" * 40), "vault_keys": SecretStr("b" * 40)}
    return Settings(data_dir=folder, database_url=SecretStr(url), **keys)


if __name__ == "__main__":
    main()
