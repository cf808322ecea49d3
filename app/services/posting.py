"""Writes records into the database: each once, its attempts and its share of every sum in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, Table, case, select
from sqlalchemy.dialects import mysql, postgresql, sqlite

from app.models import Attempt, ConversationTotal, Record, Rollup
from app.protocol import record as values
from app.protocol.usage import Usage
from app.services.rows import insert_rows

Row = dict[str, Any]
SUMS = (
    "requests", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "cost_nanos", "unpriced", "total_ms",
)  # fmt: skip
ROLLUP_KEY = ("hour", "user_id", "token_id", "model", "upstream_id")
CONVERSATION_KEY = ("user_id", "key")
_RECORDS, _ATTEMPTS = cast("Table", Record.__table__), cast("Table", Attempt.__table__)
_SAME = (
    "id", "request_id", "user_id", "token_id", "endpoint", "protocol", "model", "upstream_model", "stream", "status",
    "reason", "first_byte_ms", "first_content_ms", "total_ms", "bytes_in", "bytes_out", "price", "conversation",
)  # fmt: skip


def post(connection: Connection, notes: list[values.Record], *, again: bool) -> None:
    """Write records that are new; ``again`` tells that some may be there already, and those change nothing.

    Without it a record that is there already is refused by its key (``IntegrityError``), and all of them with it.
    """
    if again:
        known = set(connection.scalars(select(Record.id).where(Record.id.in_([note.id for note in notes]))))
        notes = list({note.id: note for note in reversed(notes) if note.id not in known}.values())[::-1]
    if not notes:
        return
    rows = [record_row(note) for note in notes]
    insert_rows(connection, _RECORDS, rows)
    insert_rows(connection, _ATTEMPTS, [row for note in notes for row in _attempt_rows(note)])
    add(connection, rows)


def add(connection: Connection, rows: list[Row], *, sign: int = 1) -> None:
    """Add rows of records to every sum that they belong to, or with ``sign`` -1 take them away."""
    rollups = _summed(rows, lambda row: (hour_of(row["at"]), *_place(row)), sign)
    _raise(connection, Rollup, rollups, ROLLUP_KEY)
    talks = [row for row in rows if row["conversation"]]
    totals = _summed(talks, lambda row: (row["user_id"], row["conversation"]), sign)
    for row in talks:
        total = totals[row["user_id"], row["conversation"]]
        total["first_at"] = min(total.get("first_at", row["at"]), row["at"])
        total["last_at"] = max(total.get("last_at", row["at"]), row["at"])
    _raise(connection, ConversationTotal, totals, CONVERSATION_KEY)


def move(connection: Connection, changed: list[tuple[Row, Row]]) -> None:
    """Bring every sum from what records were to what they are now."""
    add(connection, [after for _before, after in changed])
    add(connection, [before for before, _after in changed], sign=-1)


def share(row: Row) -> dict[str, int]:
    """Return what one record adds to a sum."""
    used = row["usage_state"] != "unknown"
    return {
        "requests": 1,
        "errors": int(row["status"] >= 400),
        "input_tokens": row["input_tokens"] or 0,
        "cache_read_tokens": row["cache_read_tokens"] or 0,
        "cache_write_tokens": (row["cache_write_5m_tokens"] or 0) + (row["cache_write_1h_tokens"] or 0),
        "output_tokens": row["output_tokens"] or 0,
        "reasoning_tokens": row["reasoning_tokens"] or 0,
        "cost_nanos": row["cost_nanos"] or 0,
        "unpriced": int(row["cost_nanos"] is None and used),
        "total_ms": row["total_ms"],
    }


def hour_of(at: datetime) -> datetime:
    """Return the hour of a moment."""
    return at.replace(minute=0, second=0, microsecond=0)


def _place(row: Row) -> tuple[Any, ...]:
    return row["user_id"], row["token_id"], row["model"], row["upstream_id"] or 0


def _summed(rows: Iterable[Row], key: Callable[[Row], tuple[Any, ...]], sign: int) -> dict[tuple[Any, ...], Row]:
    sums: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        found = sums.setdefault(key(row), dict.fromkeys(SUMS, 0))
        for name, value in share(row).items():
            found[name] += sign * value
    return sums


def _raise(connection: Connection, table: Any, sums: dict[tuple[Any, ...], Row], key: tuple[str, ...]) -> None:
    """Add to the rows of these keys, made where there are none; in one order, so that no two workers lock crosswise."""
    if sums:
        rows = [dict(zip(key, found, strict=True)) | sums[found] for found in sorted(sums)]
        connection.execute(_raising(connection.dialect.name, table, key), rows)


def _raising(dialect: str, table: Any, key: tuple[str, ...]) -> Any:
    made: Any = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}.get(dialect, mysql.insert)(table)
    more = made.inserted if dialect not in {"postgresql", "sqlite"} else made.excluded
    changes = {name: getattr(table, name) + getattr(more, name) for name in SUMS}
    if table is ConversationTotal:
        changes["last_at"] = case((more.last_at > table.last_at, more.last_at), else_=table.last_at)
    if dialect in {"postgresql", "sqlite"}:
        return made.on_conflict_do_update(index_elements=list(key), set_=changes)
    return made.on_duplicate_key_update(**changes)


def record_row(note: values.Record) -> Row:
    """Return a record's columns."""
    row = {name: getattr(note, name) for name in _SAME}
    last = note.attempts[-1] if note.attempts else None
    place = {
        "upstream_id": last.upstream_id if last else None,
        "credential_id": last.credential_id if last else None,
        "cost_nanos": note.cost,
    }
    return row | place | usage_row(note.usage) | {"at": values.moment(note.at), "end": note.end.value}


def usage_row(usage: Usage) -> Row:
    """Return the columns of a record that hold its usage."""
    return {
        "usage_state": usage.state.value,
        "input_tokens": usage.input,
        "cache_read_tokens": usage.cache_read,
        "cache_write_5m_tokens": usage.cache_write_5m,
        "cache_write_1h_tokens": usage.cache_write_1h,
        "output_tokens": usage.output,
        "reasoning_tokens": usage.reasoning,
        "audio_input_tokens": usage.audio_input,
        "audio_output_tokens": usage.audio_output,
        "web_searches": usage.web_searches,
        "service_tier": usage.service_tier,
        "usage_raw": usage.raw,
    }


def _attempt_rows(note: values.Record) -> list[Row]:
    return [
        {
            "record_id": note.id,
            "n": n,
            "upstream_id": attempt.upstream_id,
            "credential_id": attempt.credential_id,
            "status": attempt.status,
            "error": attempt.error,
            "first_byte_ms": attempt.first_byte_ms,
            "total_ms": attempt.total_ms,
            "upstream_request_id": attempt.upstream_request_id,
        }
        for n, attempt in enumerate(note.attempts)
    ]
