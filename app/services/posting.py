"""Writes records into the database: each once, its attempts and its share of every sum in the same transaction."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from operator import attrgetter, itemgetter
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Table, case, select
from sqlalchemy.dialects import mysql, postgresql, sqlite

from app.models import Attempt, ConversationTotal, DailyRollup, Record, Rollup
from app.protocol import record as values
from app.protocol.usage import Usage
from app.services.rows import insert_rows

Row = dict[str, Any]
_Share = tuple[int, ...]
_Key = TypeVar("_Key", bound=tuple[Any, ...])
SUMS = (
    "requests", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens",
    "reasoning_tokens", "cost_nanos", "unpriced", "total_ms",
)  # fmt: skip
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
_SUMMED = (
    "at", "user_id", "token_id", "model", "upstream_id", "conversation", "status", "usage_state", "input_tokens",
    "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens",
    "cost_nanos", "total_ms",
)  # fmt: skip
"""The columns of a record that sums go by."""
_summed_of_row = itemgetter(*_SUMMED)
_summed_of_values = itemgetter(*(list(_OF_RECORD).index(name) for name in _SUMMED))
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
    _add(connection, [(note.at, *_summed_of_values(row)) for note, row in zip(notes, rows, strict=True)])


def add(connection: Connection, rows: list[Row], *, sign: int = 1) -> None:
    """Add rows of records to every sum that they belong to, or with ``sign`` -1 take them away."""
    _add(connection, [(row["at"].timestamp(), *_summed_of_row(row)) for row in rows], sign)


def _add(connection: Connection, told: list[tuple[Any, ...]], sign: int = 1) -> None:
    """``told`` has of each record its moment in seconds since the epoch, and then its columns in _SUMMED."""
    by_hour: dict[tuple[Any, ...], list[_Share]] = {}
    talks: dict[tuple[int, str], list[_Share]] = {}
    moments: dict[tuple[int, str], list[datetime]] = {}
    for seconds, at, user_id, token_id, model, upstream_id, conversation, *counts in told:
        share = _share(counts)
        group = seconds // 3600, user_id, token_id, model, upstream_id or 0
        by_hour.setdefault(group, []).append(share)
        if conversation:
            talks.setdefault((user_id, conversation), []).append(share)
            moments.setdefault((user_id, conversation), []).append(at)
    hours = {(datetime.fromtimestamp(n * 3600, UTC), *place): shares for (n, *place), shares in by_hour.items()}
    days: dict[tuple[Any, ...], list[_Share]] = {}
    for (hour, *place), shares in hours.items():
        days.setdefault((day_of(hour), *place), []).extend(shares)
    _raise(connection, Rollup, _sums(hours, sign), ROLLUP_KEY)
    _raise(connection, DailyRollup, _sums(days, sign), DAILY_KEY)
    totals = _sums(talks, sign)
    for key, at_all in moments.items():
        totals[key] |= {"first_at": min(at_all), "last_at": max(at_all)}
    _raise(connection, ConversationTotal, totals, CONVERSATION_KEY)


def move(connection: Connection, changed: list[tuple[Row, Row]]) -> None:
    """Bring every sum from what records were to what they are now."""
    add(connection, [after for _before, after in changed])
    add(connection, [before for before, _after in changed], sign=-1)


def _share(counts: list[Any]) -> _Share:
    """Return what one record adds to each of SUMS; its own counts are given in the order of _SUMMED."""
    status, state, fresh, read, written_5m, written_1h, output, reasoning, cost, total_ms = counts
    written = (written_5m or 0) + (written_1h or 0)
    unpriced = 1 if cost is None and state != "unknown" else 0
    failed = 1 if status >= 400 else 0
    return 1, failed, fresh or 0, read or 0, written, output or 0, reasoning or 0, cost or 0, unpriced, total_ms


def _sums(shares: dict[_Key, list[_Share]], sign: int) -> dict[_Key, Row]:
    return {key: _sum(each, sign) for key, each in shares.items()}


def _sum(shares: list[_Share], sign: int) -> Row:
    columns = zip(*shares, strict=True)
    return {name: sign * sum(column) for name, column in zip(SUMS, columns, strict=True)}


def hour_of(at: datetime) -> datetime:
    """Return the hour of a moment, by UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def day_of(at: datetime) -> datetime:
    """Return the day of a moment, by UTC."""
    return hour_of(at).replace(hour=0)


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
        changes["first_at"] = case((more.first_at < table.first_at, more.first_at), else_=table.first_at)
        changes["last_at"] = case((more.last_at > table.last_at, more.last_at), else_=table.last_at)
    if dialect in {"postgresql", "sqlite"}:
        return made.on_conflict_do_update(index_elements=list(key), set_=changes)
    return made.on_duplicate_key_update(**changes)


def usage_row(usage: Usage) -> Row:
    """Return the columns of a record that hold its usage."""
    return dict(zip(_USAGE, _usage(usage), strict=True))
