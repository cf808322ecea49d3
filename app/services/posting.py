"""Writes records into the database: each once, its attempts and its share of every sum in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import Connection, Table, case, select
from sqlalchemy.dialects import mysql, postgresql, sqlite

from app.models import Attempt, ConversationTotal, DailyRollup, Record, Rollup
from app.protocol import record as values
from app.protocol.usage import Usage
from app.services.rows import insert_rows

Row = dict[str, Any]
SUMS = (
    "requests", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "cost_nanos", "unpriced", "total_ms",
)  # fmt: skip
_NOTHING = (0,) * len(SUMS)
ROLLUP_KEY = ("hour", "user_id", "token_id", "model", "upstream_id")
DAILY_KEY = ("day", *ROLLUP_KEY[1:])
CONVERSATION_KEY = ("user_id", "key")
_RECORDS, _ATTEMPTS = cast("Table", Record.__table__), cast("Table", Attempt.__table__)
_USAGE = {
    "usage_state": "state", "input_tokens": "input", "cache_read_tokens": "cache_read",
    "cache_write_5m_tokens": "cache_write_5m", "cache_write_1h_tokens": "cache_write_1h", "output_tokens": "output",
    "reasoning_tokens": "reasoning", "audio_input_tokens": "audio_input", "audio_output_tokens": "audio_output",
    "web_searches": "web_searches", "service_tier": "service_tier", "usage_raw": "raw",
}  # fmt: skip
_SAME = (
    "id", "request_id", "user_id", "token_id", "endpoint", "protocol", "model", "upstream_model", "upstream_id",
    "credential_id", "stream", "status", "end", "reason", "first_byte_ms", "first_content_ms", "total_ms", "bytes_in",
    "bytes_out", "price", "conversation", "left_out",
)  # fmt: skip
_OF_RECORD = {name: name for name in _SAME} | {"at": "moment", "cost_nanos": "cost"}
_OF_RECORD |= {column: f"usage.{name}" for column, name in _USAGE.items()}
"""Each column of a record, and where its value stands: one table for all, so that reading a record is one call."""
_OF_ATTEMPT = (
    "upstream_id", "credential_id", "status", "error", "first_byte_ms", "total_ms", "upstream_request_id",
)  # fmt: skip
_record, _usage, _attempt = attrgetter(*_OF_RECORD.values()), attrgetter(*_USAGE.values()), attrgetter(*_OF_ATTEMPT)


def post(connection: Connection, notes: list[values.Record], *, again: bool) -> None:
    """Write records that are new; ``again`` tells that some may be there already, and those change nothing.

    Without it a record that is there already is refused by its key (``IntegrityError``), and all of them with it.
    """
    if again:
        known = set(connection.scalars(select(Record.id).where(Record.id.in_([note.id for note in notes]))))
        notes = list({note.id: note for note in reversed(notes) if note.id not in known}.values())[::-1]
    if not notes:
        return
    rows = [_record(note) for note in notes]
    insert_rows(connection, _RECORDS, tuple(_OF_RECORD), rows)
    attempts = [(note.id, n, *_attempt(attempt)) for note in notes for n, attempt in enumerate(note.attempts)]
    insert_rows(connection, _ATTEMPTS, ("record_id", "n", *_OF_ATTEMPT), attempts)
    add(connection, [dict(zip(_OF_RECORD, row, strict=True)) for row in rows])


def add(connection: Connection, rows: list[Row], *, sign: int = 1) -> None:
    """Add rows of records to every sum that they belong to, or with ``sign`` -1 take them away."""
    rollups = _summed(rows, lambda row: (hour_of(row["at"]), *_place(row)), sign)
    _raise(connection, Rollup, rollups, ROLLUP_KEY)
    days: dict[tuple[Any, ...], Row] = {}
    for (hour, *place), sums in rollups.items():
        day = days.setdefault((day_of(hour), *place), dict.fromkeys(SUMS, 0))
        for name in SUMS:
            day[name] += sums[name]
    _raise(connection, DailyRollup, days, DAILY_KEY)
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


def _share(row: Row) -> tuple[int, ...]:
    """Return what one record adds to each of SUMS."""
    cost = row["cost_nanos"]
    return (
        1,
        int(row["status"] >= 400),
        row["input_tokens"] or 0,
        row["cache_read_tokens"] or 0,
        (row["cache_write_5m_tokens"] or 0) + (row["cache_write_1h_tokens"] or 0),
        row["output_tokens"] or 0,
        row["reasoning_tokens"] or 0,
        cost or 0,
        int(cost is None and row["usage_state"] != "unknown"),
        row["total_ms"],
    )


def hour_of(at: datetime) -> datetime:
    """Return the hour of a moment, by UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    """Return the day of a moment, by UTC."""
    return hour_of(at).replace(hour=0)


def _place(row: Row) -> tuple[Any, ...]:
    return row["user_id"], row["token_id"], row["model"], row["upstream_id"] or 0


def _summed(rows: Iterable[Row], key: Callable[[Row], tuple[Any, ...]], sign: int) -> dict[tuple[Any, ...], Row]:
    sums: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for row in rows:
        found = key(row)
        sums[found] = tuple(map(int.__add__, sums.get(found, _NOTHING), _share(row)))
    return {found: {name: sign * value for name, value in zip(SUMS, sum_, strict=True)} for found, sum_ in sums.items()}


def _raise(connection: Connection, table: Any, sums: dict[tuple[Any, ...], Row], key: tuple[str, ...]) -> None:
    """Add to the rows of these keys, made where there are none; in one order, so that no two workers lock crosswise."""
    if sums:
        rows = [dict(zip(key, found, strict=True)) | sums[found] for found in sorted(sums)]
        connection.execute(_raising(connection.dialect.name, table, key), rows)


@cache
def _raising(dialect: str, table: Any, key: tuple[str, ...]) -> Any:
    made: Any = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}.get(dialect, mysql.insert)(table)
    more = made.inserted if dialect not in {"postgresql", "sqlite"} else made.excluded
    changes = {name: getattr(table, name) + getattr(more, name) for name in SUMS}
    if table is ConversationTotal:
        changes["last_at"] = case((more.last_at > table.last_at, more.last_at), else_=table.last_at)
    if dialect in {"postgresql", "sqlite"}:
        return made.on_conflict_do_update(index_elements=list(key), set_=changes)
    return made.on_duplicate_key_update(**changes)


def usage_row(usage: Usage) -> Row:
    """Return the columns of a record that hold its usage."""
    return dict(zip(_USAGE, _usage(usage), strict=True))
