"""What writes and reads owned objects and records, put together for one test; and a database that goes away."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import gevent
import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.record import Attempt, End, Record, line_of
from app.protocol.usage import from_object
from app.services.batch import Writer
from app.services.call_log import CallLog
from app.services.journal import Journal
from app.services.pen import Pen
from tests import databases


@contextmanager
def writing(engine, directory: Path):
    """Yield a pen that writes."""
    gevent.get_hub().loop.update_now()  # as in `at_once`
    pen = Pen(engine, Journal(directory), Writer(engine, CallLog()).write)
    writer = gevent.spawn(pen._write_for_ever)
    try:
        yield pen
    finally:
        writer.kill()


@contextmanager
def away(engine):
    """Take the database of an engine away, and bring it back."""
    url = make_url(engine.url)
    if engine.dialect.name == "sqlite":
        path = Path(url.database)
        elsewhere = path.with_suffix(".away")
        engine.dispose()
        path.rename(elsewhere)
        path.mkdir()
        try:
            yield
        finally:
            path.rmdir()
            elsewhere.rename(path)
        return
    if engine.dialect.name == "mysql":
        with databases.mysql_away(url.database):
            yield
        return
    name = sql.Identifier(url.database)
    with psycopg.connect(databases.SERVER, autocommit=True) as server:
        try:
            server.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(name))
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database])
            yield
        finally:
            server.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(name))


def record(number: int, **more) -> Record:
    """A finished call's record."""
    fields = {
        "id": f"{number:032x}",
        "at": 1_800_000_000.25,
        "request_id": f"req_{number}",
        "user_id": 1,
        "token_id": 1,
        "endpoint": "responses.create",
        "protocol": "openai",
        "status": 200,
        "end": End.COMPLETED,
        "total_ms": 12,
        "model": "m",
        "usage": from_object({"input_tokens": 3, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 1}}),
        "attempts": (
            Attempt(upstream_id=1, credential_id=1, total_ms=3, status=500, error="upstream_error"),
            Attempt(upstream_id=2, credential_id=5, total_ms=9, status=200, first_byte_ms=4, upstream_request_id="u"),
        ),
    }
    return Record(**fields | more)


def told(entry: Record) -> tuple[str, bytes]:
    """A record as a journal takes it."""
    return entry.id, line_of(entry)


def claim_row(object_id: str, user_id: int, **more) -> dict:
    """A row of the registry as the registry hands it to the pen."""
    from app.models.base import utcnow

    row = {"upstream_id": 1, "credential_id": 1, "kind": "response", "object_id": object_id, "user_id": user_id}
    return row | {"call_id": "c", "model": "m", "created_at": utcnow()} | more


def caller_of(user, **more) -> Caller:
    return Caller(user.id, 1, "mark", **more)


def create_call(user, *, model: str = "m") -> Call:
    """A call that makes a response."""
    return Call(id="c" * 32, request_id="r", endpoint=BY_NAME["responses.create"], caller=caller_of(user), model=model)


def at_once(*functions) -> list:
    """Run functions side by side and return what each returned or raised."""
    gevent.get_hub().loop.update_now()  # it has stood still since its last turn, and timers would start in the past
    jobs = [gevent.spawn(function) for function in functions]
    gevent.joinall(jobs, timeout=20)
    return [job.exception if job.exception is not None else job.value for job in jobs]


def parts(**named) -> SimpleNamespace:
    return SimpleNamespace(**named)
