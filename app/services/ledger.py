"""Keeps the record of each call: once, and never lost to a killed worker."""

from __future__ import annotations

from datetime import datetime

import gevent
import msgspec
import structlog
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.logs import CallLog
from app.models import OwnedObject, Record
from app.protocol import record as values
from app.protocol.call import Caller
from app.protocol.endpoints import ObjectKind
from app.protocol.errors import Problem, RelayError
from app.protocol.usage import Usage, UsageState
from app.services.pen import Pen, usage_row

log = structlog.get_logger()


class CallLine(msgspec.Struct, tag_field="event", tag="call", frozen=True):
    """What the log tells of one call."""

    timestamp: datetime
    call: str
    request_id: str
    user: int
    token: int
    endpoint: str
    model: str
    upstream: int | None
    status: int
    end: str
    reason: str
    first_byte_ms: int | None
    total_ms: int
    input: int | None
    output: int | None


class Ledger:
    """Writes through the pen."""

    def __init__(self, engine: Engine, pen: Pen, calls: CallLog) -> None:
        self._engine = engine
        self._pen = pen
        self._calls = calls

    def admit(self) -> None:
        """Raise ``RelayError`` (503) when there is no room left to keep the record of another call."""
        if not self._pen.accepts:
            raise RelayError(Problem.OVERLOADED, "Realms can't keep records now; try again later.", retry_after=30)

    def settle(self, record: values.Record) -> None:
        """Keep a finished call's record."""
        record = _storable(record)
        self._pen.note(record)
        self._calls.add(_line(record))

    def complete(self, caller: Caller, object_id: str, usage: Usage) -> None:
        """Give the record of a background response the usage that its owner has now read; aside, nobody waits."""
        gevent.spawn(self._complete, caller, object_id, usage)

    def _complete(self, caller: Caller, object_id: str, usage: Usage) -> None:
        made_by = (
            select(OwnedObject.call_id)
            .where(
                OwnedObject.user_id == caller.user_id,
                OwnedObject.kind == ObjectKind.RESPONSE.value,
                OwnedObject.object_id == object_id,
            )
            .scalar_subquery()
        )
        unsettled = update(Record).where(Record.id == made_by, Record.usage_state == UsageState.UNKNOWN.value)
        try:
            with self._engine.begin() as connection:
                connection.execute(unsettled.values(end=values.End.COMPLETED.value, **usage_row(usage)))
        except (SQLAlchemyError, OSError) as error:
            log.warning("background_not_settled", object=object_id, error=type(error).__name__)


def _storable(record: values.Record) -> values.Record:
    """Return a record without NUL, the one character that some databases can't keep in a text."""
    texts = {name: getattr(record, name) for name in ("model", "upstream_model", "reason")}
    changes = {name: text.replace("\0", "\ufffd") for name, text in texts.items() if "\0" in text}
    return msgspec.structs.replace(record, **changes) if changes else record


def _line(record: values.Record) -> CallLine:
    return CallLine(
        timestamp=values.moment(record.at),
        call=record.id,
        request_id=record.request_id,
        user=record.user_id,
        token=record.token_id,
        endpoint=record.endpoint,
        model=record.model,
        upstream=record.attempts[-1].upstream_id if record.attempts else None,
        status=record.status,
        end=record.end.value,
        reason=record.reason,
        first_byte_ms=record.first_byte_ms,
        total_ms=record.total_ms,
        input=record.usage.input,
        output=record.usage.output,
    )
