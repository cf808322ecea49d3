"""The ownership gate: who owns which stored object, and where it lives.

``find`` is the only maker of ``Owned``. The first to claim an id at an upstream owns it for life: no statement here
changes an owner.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection, Engine, and_, func, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.models import OwnedObject, Record
from app.models.base import utcnow
from app.protocol.call import REGISTRY_ONLY, Call, Caller, Owned, Place
from app.protocol.endpoints import BY_NAME, Kind, ObjectKind
from app.protocol.errors import Problem, RelayError, not_found
from app.protocol.ids import is_object_id
from app.protocol.record import GOES_ON, End
from app.services.background import GUESSED
from app.services.directory import Directory
from app.services.pen import Pen, Unavailable

RETRY_S = 5
_T = TypeVar("_T")
RETRIEVE = BY_NAME["responses.retrieve"]
WAITING = or_(Record.end == End.PENDING.value, and_(Record.reason == GOES_ON, Record.usage_state.in_(GUESSED)))
"""Records of background responses of which nobody has seen the end."""
log = structlog.get_logger()


class Unsettled(msgspec.Struct, frozen=True):
    """A background response of which nobody has seen the end: the call and the user that made it, and when."""

    call_id: str
    user_id: int
    made_at: datetime
    owned: Owned


class Registry:
    """Answers from the database; writes through the pen."""

    def __init__(self, engine: Engine, pen: Pen, directory: Directory) -> None:
        self._engine = engine
        self._pen = pen
        self._directory = directory

    def find(self, caller: Caller, kind: ObjectKind, object_id: str) -> Owned:
        """Return the caller's object.

        Raises ``RelayError``: 404 for an id that is unknown, someone else's, deleted, or whose upstream or credential
        is gone, all alike; 503 while its upstream or credential is disabled or the database is away.
        """
        if not is_object_id(object_id):
            raise not_found(kind, object_id)
        wanted = select(OwnedObject.__table__).where(
            OwnedObject.user_id == caller.user_id,
            OwnedObject.kind == kind.value,
            OwnedObject.object_id == object_id,
            OwnedObject.deleted_at.is_(None),
        )
        row = self._ask(lambda connection: connection.execute(wanted.order_by(OwnedObject.id).limit(1)).first())
        if row is None or not _allowed(caller, row):
            log.info("object_not_found", user=caller.user_id, token=caller.token_id, kind=kind.value)
            raise not_found(kind, object_id)
        place = self._place(row)
        if place is None:
            raise not_found(kind, object_id)
        return _owned(row, place)

    def admit(self, call: Call) -> None:
        """Raise ``RelayError`` (503) when the call's answer is to be stored and no owner can be written down now.

        Asked before the upstream is: its answer would be paid for, and could not be shown.
        """
        if call.stores and call.endpoint.kind is Kind.CREATE and not self._pen.claims:
            raise _away()

    def claim(self, call: Call, place: Place, ids: list[tuple[ObjectKind, str]]) -> None:
        """Make the caller the owner of these ids, durably, before returning; an owner is never replaced.

        Raises ``RelayError`` (503) when that can't be done.
        """
        rows: list[dict[str, Any]] = [
            {
                "upstream_id": place.upstream_id,
                "credential_id": place.credential_id,
                "kind": kind.value,
                "object_id": object_id,
                "user_id": call.caller.user_id,
                "call_id": call.id,
                "model": call.model,
                "created_at": utcnow(),
            }
            for kind, object_id in dict.fromkeys(ids)
        ]
        try:
            all_new = self._pen.claim(rows)
        except Unavailable:
            raise _away() from None
        if not all_new:
            self._tell_conflicts(call, place, [row["object_id"] for row in rows])

    def forget(self, owned: Owned) -> None:
        """Turn an object's row into a tombstone; the owner stays. Raises ``RelayError`` (503)."""
        gone = update(OwnedObject).where(
            OwnedObject.upstream_id == owned.place.upstream_id,
            OwnedObject.kind == owned.kind.value,
            OwnedObject.object_id == owned.object_id,
        )
        self._ask(lambda connection: connection.execute(gone.values(deleted_at=utcnow())))

    def page(
        self, caller: Caller, kind: ObjectKind, *, after: str | None, limit: int, newest_first: bool, model: str | None
    ) -> tuple[list[Owned], str | None]:
        """Return the caller's next objects in order of creation, and the id to go on after (None: there are no more).

        Raises ``RelayError``: 404 when ``after`` isn't the caller's, 503 while one of them can't be reached.
        """
        mine = (OwnedObject.user_id == caller.user_id, OwnedObject.kind == kind.value)
        wanted = select(OwnedObject.__table__).where(*mine, OwnedObject.deleted_at.is_(None))
        if model is not None:
            wanted = wanted.where(OwnedObject.model == model)
        if after is not None:
            edge = self._edge(mine, kind, after, newest_first=newest_first)
            wanted = wanted.where(OwnedObject.id < edge if newest_first else OwnedObject.id > edge)
        order = OwnedObject.id.desc() if newest_first else OwnedObject.id.asc()
        rows = self._ask(lambda connection: connection.execute(wanted.order_by(order).limit(limit + 1)).all())
        places = [(row, self._place(row)) for row in rows[:limit] if _allowed(caller, row)]
        owned = [_owned(row, place) for row, place in places if place is not None]
        return owned, rows[limit - 1].object_id if len(rows) > limit else None

    def unsettled(self, since: datetime, until: datetime, *, called_after: datetime, most: int) -> list[Unsettled]:
        """Return background responses that were made in a span, as calls after a moment, and wait to be settled.

        Those that can be asked for now, the oldest first; ``until`` belongs to the span, ``since`` doesn't. Raises
        ``RelayError`` (503).
        """
        usable = self._directory.snapshot.usable(RETRIEVE)
        if not usable:
            return []
        wanted = select(OwnedObject.__table__).join(Record, Record.id == OwnedObject.call_id)
        wanted = wanted.where(
            OwnedObject.kind == ObjectKind.RESPONSE.value,
            OwnedObject.created_at > since,
            OwnedObject.created_at <= until,
            OwnedObject.deleted_at.is_(None),
            OwnedObject.credential_id.in_(usable),
            Record.user_id == OwnedObject.user_id,
            Record.at > called_after,
            WAITING,
        )
        order = wanted.order_by(OwnedObject.created_at).limit(most)
        rows = self._ask(lambda connection: connection.execute(order).all())
        places = [(row, self._place(row)) for row in rows if is_object_id(row.object_id)]
        return [
            Unsettled(row.call_id, row.user_id, row.created_at, _owned(row, place))
            for row, place in places
            if place is not None
        ]

    def _edge(self, mine: tuple[Any, ...], kind: ObjectKind, after: str, *, newest_first: bool) -> int:
        """Return the place in the order of the object that a page starts after; a deleted one still has its place.

        Of several that two upstreams gave the same id it is the last one's: pages must come to an end.
        """
        last = func.min if newest_first else func.max
        wanted = select(last(OwnedObject.id)).where(*mine, OwnedObject.object_id == after)
        edge = self._ask(lambda connection: connection.scalar(wanted)) if is_object_id(after) else None
        if edge is None:
            error = not_found(kind, after)
            error.param = "after"
            raise error
        return int(edge)

    def _place(self, row: Any) -> Place | None:
        """Return where an object lives, None where that is gone. Raises ``RelayError`` (503) while it is disabled."""
        upstream = self._directory.snapshot.upstreams.get(row.upstream_id)
        if upstream is None:
            return None
        place = upstream.places.get(row.credential_id)
        if row.credential_id in upstream.resting or (place and not upstream.enabled):
            message = "The upstream that keeps this object is disabled for now; try again later."
            raise RelayError(Problem.OVERLOADED, message, retry_after=RETRY_S)
        return place

    def _tell_conflicts(self, call: Call, place: Place, ids: list[str]) -> None:
        """Log ids that the upstream minted twice: the first owner keeps them, the second can't reach them."""
        foreign = select(OwnedObject.object_id).where(
            OwnedObject.upstream_id == place.upstream_id,
            OwnedObject.object_id.in_(ids),
            OwnedObject.user_id != call.caller.user_id,
        )
        for object_id in self._ask(lambda connection: connection.scalars(foreign).all()):
            log.warning("ownership_conflict", call=call.id, upstream=place.upstream_id, object=object_id)

    def _ask(self, question: Callable[[Connection], _T]) -> _T:
        try:
            with self._engine.begin() as connection:
                return question(connection)
        except (SQLAlchemyError, OSError):
            raise _away() from None


def _allowed(caller: Caller, row: Any) -> bool:
    """Whether the caller's token may reach the objects of a model; a conversation is of none."""
    return not row.model or caller.may_use(row.model)


def _owned(row: Any, place: Place) -> Owned:
    return Owned(REGISTRY_ONLY, kind=ObjectKind(row.kind), object_id=row.object_id, place=place, model=row.model)


def _away() -> RelayError:
    return RelayError(Problem.OVERLOADED, "Realms can't look up stored objects now; try again.", retry_after=RETRY_S)
