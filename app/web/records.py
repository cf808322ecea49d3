"""Request records on pages and in exports: filters and cursors in the address, and CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Response, request

from app.protocol.price import exact_dollars
from app.protocol.record import End
from app.services import accounts, history, reports
from app.services.history import Filter
from app.settings import VERSION
from app.web import times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import tzinfo

    from sqlalchemy import Engine

    from app.services.history import Cursor
    from app.services.reports import Totals

ENDS = tuple(end.value for end in End)
END_CHOICES = tuple((end, end) for end in ENDS)
NAMES = (
    "model", "token", "line", "user", "upstream", "status", "stream", "end", "reason", "since", "until", "conversation",
)  # fmt: skip
NOBODY = 0
FORMULA = re.compile(r"^(?=[\t\r\n])|(?:^|(?<=[;\t\r\n]))(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""Where a spreadsheet takes a cell for a formula; one that parts cells by semicolons, as in half of Europe, too."""
ATTEMPT_COLUMNS = ("status", "error", "first_byte_ms", "total_ms")
RECORD_COLUMNS = (
    "at", "id", "request_id", "user_id", "token_id", "endpoint", "model", "upstream_model", "stream", "status", "end",
    "reason", "first_byte_ms", "first_content_ms", "total_ms", "bytes_in", "bytes_out", "usage_state", "input_tokens",
    "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens",
    "conversation",
)  # fmt: skip


def asked(*, user_id: int | None = None) -> Filter:
    """Return the filter that the address of this page asks for; ``user_id`` is whose records may be seen at all."""
    args = request.args
    stream = {"1": True, "0": False}.get(args.get("stream", ""))
    status = args.get("status", "")
    return Filter(
        user_id=user_id if user_id is not None else _user(args.get("user", "").strip()),
        token_id=_number(args.get("token", "")),
        line=_number(args.get("line", "")),
        upstream_id=_number(args.get("upstream", "")) if user_id is None else None,
        conversation=args.get("conversation", "")[:32],
        model=args.get("model", "").strip()[:200],
        status=status if status in {"ok", "error"} or (len(status) == 3 and _number(status)) else "",
        stream=stream,
        end=args.get("end", "") if args.get("end") in ENDS else "",
        reason=args.get("reason", "").strip()[:200],
        since=times.read(args.get("since", ""), times.begin_of),
        until=times.read(args.get("until", ""), times.end_of),
    )


def values() -> dict[str, str]:
    """Return what is asked for as it stands in the address, for links and for the fields of the filter."""
    return {name: request.args[name][:200] for name in NAMES if request.args.get(name)}


def cursor() -> Cursor | None:
    """Return where the page begins; None is the newest record."""
    moment, _, record_id = request.args.get("after", "").partition("-")
    if not (moment.isascii() and moment.isdecimal() and len(moment) <= 16):
        return None
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(moment)), record_id[:32]


def written(after: Cursor | None) -> str:
    """Return a cursor as it stands in an address."""
    if after is None:
        return ""
    since = after[0] - datetime.fromtimestamp(0, UTC)
    return f"{since // timedelta(microseconds=1)}-{after[1]}"


def records_csv(engine: Engine, wanted: Filter, *, internal: bool) -> Response:
    """Return all records that fit, streamed; ``internal`` adds which upstream served each."""
    columns = (*RECORD_COLUMNS, "upstream_id", "credential_id") if internal else RECORD_COLUMNS
    zone = times.zone()  # asked here: what follows is streamed when the request is over
    portions = ([_record(row, columns, zone) for row in rows] for rows in history.every(engine, wanted))
    return _csv("requests.csv", (_told_in(zone, "at"), *columns[1:], "cost_usd"), portions)


def sums_csv(name: str, key: str, portions: Iterator[list[tuple[Any, Totals]]]) -> Response:
    """Return sums by hour, day, model or whatever ``key`` says, streamed."""
    counted = ("requests", "errors", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    zone = times.zone()  # asked here, as above
    first = _told_in(zone, key) if key in reports.WINDOWS else key

    def line(by: Any, sums: Totals) -> list[Any]:
        told = (getattr(sums, name) for name in counted)
        return [_plain(by, zone), *told, exact_dollars(sums.cost_nanos), sums.unpriced]

    head = first, *counted, "cost_usd", "requests_without_price"
    return _csv(name, head, ([line(*each) for each in portion] for portion in portions))


def bundle(record: Any, attempts: Iterable[Any], *, internal: bool) -> str:
    """Return all that is known of one request, to be passed on; ``internal`` adds which upstream was tried when."""
    place = ("upstream_id", "credential_id", "upstream_request_id") if internal else ()
    tried = (*ATTEMPT_COLUMNS, *place)
    known = (*RECORD_COLUMNS, "upstream_id", "credential_id", "left_out") if internal else RECORD_COLUMNS
    told = {"realms": VERSION, **{name: getattr(record, name) for name in known}}
    told["cost_usd"] = None if record.cost_nanos is None else exact_dollars(record.cost_nanos)
    told["attempts"] = [{name: getattr(each, name) for name in tried} for each in attempts]
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode()


def _csv(name: str, head: Iterable[str], portions: Iterator[list[list[Any]]]) -> Response:
    def pieces() -> Iterator[str]:
        yield _lines([list(head)])
        for rows in portions:
            yield _lines(rows)

    answer = Response(pieces(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _lines(rows: list[list[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([[_safe(cell) for cell in row] for row in rows])
    return out.getvalue()


def _safe(cell: Any) -> Any:
    return FORMULA.sub("'", cell) if isinstance(cell, str) else cell


def _told_in(zone: tzinfo, heading: str) -> str:
    """Return the heading of a column of moments, which tells their zone where it isn't everybody's."""
    return heading if zone is UTC else f"{heading} ({zone})"


def _record(row: Any, columns: tuple[str, ...], zone: tzinfo) -> list[Any]:
    cost = "" if row.cost_nanos is None else exact_dollars(row.cost_nanos)
    return [*(_plain(getattr(row, name), zone) for name in columns), cost]


def _plain(value: Any, zone: tzinfo) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="milliseconds")
    return "" if value is None else value


def _user(text: str) -> int | None:
    """Return whose records are asked for, by number or address; None is everybody, and only where nothing was typed."""
    if not text:
        return None
    number = _number(text)
    if number is None and (found := accounts.by_email(text)):
        number = found.id
    return NOBODY if number is None else number


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None
