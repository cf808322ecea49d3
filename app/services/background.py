"""Settles what a background response used, once somebody has seen its end."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, ScalarSelect, select, update

from app.models import OwnedObject, Record
from app.protocol import record as values
from app.protocol.endpoints import ObjectKind
from app.protocol.usage import Usage, UsageState
from app.services import posting

GUESSED = (UsageState.UNKNOWN.value, UsageState.ESTIMATED.value, UsageState.PARTIAL.value)
"""What gives way to a provider's report; to another guess only what is unknown does."""


def maker(user_id: int, object_id: str) -> ScalarSelect[str]:
    """Return what finds the id of the call that made somebody's response; of two with one id the one that is found."""
    mine = select(OwnedObject.call_id).where(
        OwnedObject.user_id == user_id,
        OwnedObject.kind == ObjectKind.RESPONSE.value,
        OwnedObject.object_id == object_id,
    )
    return mine.order_by(OwnedObject.id).limit(1).scalar_subquery()


def complete(
    connection: Connection,
    made_by: str | ScalarSelect[str],
    *,
    usage: Usage,
    billed: Callable[[values.Record], values.Record],
) -> values.Record | None:
    """Give the record of the call that made a response its usage and cost, and every sum its share.

    One that is known stays.

    A guess of ours, as of a stream that its client left, gives way to what the provider reports. Return what was
    changed: nothing where the usage names no count, for what is unknown is not free.
    """
    if usage.state is UsageState.UNKNOWN:
        return None
    giving_way = GUESSED if usage.state is UsageState.REPORTED else (UsageState.UNKNOWN.value,)
    unsettled = Record.usage_state.in_(giving_way)
    row = connection.execute(select(Record.__table__).where(Record.id == made_by, unsettled)).first()
    if row is None:
        return None
    whole = billed(_value(row, usage))
    changes = posting.usage_row(usage) | {"cost_nanos": whole.cost, "price": whole.price}
    if row.end == values.End.PENDING.value:
        changes["end"] = values.End.COMPLETED.value
    mine = update(Record).where(Record.id == row.id, unsettled).values(**changes)
    if not connection.execute(mine).rowcount:
        return None
    before = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    posting.move(connection, [(before, before | changes)])
    return whole


def _value(row: object, usage: Usage) -> values.Record:
    fields = (
        "id", "request_id", "user_id", "token_id", "endpoint", "protocol", "status", "total_ms", "model",
        "conversation",
    )  # fmt: skip
    told = {name: getattr(row, name) for name in fields}
    moment = row.at.timestamp()  # type: ignore[attr-defined]
    return values.Record(at=moment, end=values.End.COMPLETED, usage=usage, **told)
