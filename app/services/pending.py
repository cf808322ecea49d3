"""Asks for background responses whose owners don't, so that what they came to is counted all the same.

A response has its turn at certain ages, ever more rarely, and for a day. So nothing is written down of who was asked
for when: one number tells up to which moment turns were had, another who looks. Both are compared and set, so that of
all workers of all hosts one looks, once in a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import gevent
import gevent.pool
import msgspec
import structlog
from sqlalchemy import Engine, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.models import Meta
from app.models.base import utcnow
from app.models.meta import PENDING_LOOK, PENDING_SEEN
from app.protocol.body import TERMINAL
from app.protocol.call import Call, Caller
from app.protocol.errors import RelayError
from app.protocol.usage import Usage, from_object
from app.relay.egress import Egress, EgressError
from app.services.ledger import Ledger
from app.services.registry import RETRIEVE, Registry, Unsettled
from app.upstreams import UPSTREAMS

LOOK_S = 60.0
FIRST_S = 60.0
"""The age of a response at its first turn; each further turn is at twice the age of the one before."""
LIFE_S = 86_400.0
LAST_S = 600.0
"""How long before the end of its life a response has its last turn."""
LATE_S = 3600.0
"""How late a turn may be had, because many are due or no worker ran; later it is passed over."""
STEP_S = 300.0
"""The turns of so long a span are looked through at once, at most: so the query stays small, however late it is."""
MOST = 100
"""Responses that are asked for at a look."""
AT_ONCE = 4
ASK_S = 10.0
BODY_MAX = 16 * 1024 * 1024
"""In bytes."""
EPOCH, MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)
log = structlog.get_logger()


class _Told(msgspec.Struct):
    """The members of a response that are looked at; whatever else it has is passed over unread."""

    id: Any = None
    status: Any = None
    usage: Any = None
    service_tier: Any = None


class _RefusedError(Exception):
    """An upstream answered, but with no response of that id."""


class _Failures(msgspec.Struct):
    """What failed in one look: the upstreams that didn't answer, and why asking did, by upstream."""

    silent: set[int] = msgspec.field(default_factory=set)
    reasons: dict[str, str] = msgspec.field(default_factory=dict)


class _Turn(msgspec.Struct, frozen=True):
    at: datetime
    response: Unsettled


_told = msgspec.json.Decoder(_Told)


class Pending:
    """One worker's part in asking."""

    def __init__(self, engine: Engine, registry: Registry, ledger: Ledger, egress: Egress) -> None:
        self._engine = engine
        self._registry = registry
        self._ledger = ledger
        self._egress = egress

    def start(self) -> None:
        """Look once in a while, in this worker's hub, unless another worker does."""
        gevent.spawn(self._look_for_ever)

    def look(self, now: datetime | None = None) -> int:
        """Ask for what is due and settle what has ended, unless a worker has just looked; return how many were due.

        Raises ``RelayError`` and what the database raises.
        """
        now = now or utcnow()
        if not self._may_look(now):
            return 0
        due, failures = self._due(now), _Failures()
        pool = gevent.pool.Pool(AT_ONCE)
        for each in due:
            pool.spawn(self._ask, each, failures)
        pool.join()
        if failures.reasons:
            log.warning("background_not_asked", upstreams=failures.reasons)
        return len(due)

    def _look_for_ever(self) -> None:
        while True:
            gevent.sleep(LOOK_S / 4)
            try:
                self.look()
            except (SQLAlchemyError, RelayError, OSError) as error:
                log.warning("background_not_asked", error=type(error).__name__)
            except Exception as error:  # whatever it was, others have their turns yet
                log.exception("background_not_asked", error=type(error).__name__)

    # -- whose turn it is ---------------------------------------------------------------------------------------------
    def _may_look(self, now: datetime) -> bool:
        """Whether it is this worker's to look: of those who ask at once one is told so, and then nobody for a while."""
        told = _number(now)
        free = or_(Meta.value <= told - _micros(LOOK_S), Meta.value > told + _micros(LATE_S))  # or a clock was wrong
        look = update(Meta).where(Meta.name == PENDING_LOOK, free).values(value=told)
        with self._engine.begin() as connection:
            return bool(connection.execute(look).rowcount)

    def _due(self, now: datetime) -> list[Unsettled]:
        """Return those whose turn has come since the last look, and take note that they had it."""
        with self._engine.connect() as connection:
            seen = connection.scalar(select(Meta.value).where(Meta.name == PENDING_SEEN)) or 0
        step = timedelta(seconds=STEP_S)
        known = abs(seen - _number(now)) <= _micros(LATE_S)  # or nobody has looked for long, or a clock was wrong
        since = _moment(seen) if known else now - step
        until = max(since, min(now, since + step))
        turns = self._turns(since, until, called_after=now - timedelta(seconds=LIFE_S))
        until = turns[MOST - 1].at if len(turns) > MOST else until
        turn = update(Meta).where(Meta.name == PENDING_SEEN, Meta.value == seen).values(value=_number(until))
        with self._engine.begin() as connection:
            mine = bool(connection.execute(turn).rowcount)
        due = {(each.response.call_id, each.response.owned.object_id): each.response for each in turns[:MOST]}
        return list(due.values()) if mine else []

    def _turns(self, since: datetime, until: datetime, *, called_after: datetime) -> list[_Turn]:
        """Return the turns in a span, in order; where there are more than one look can do, the first of them."""
        found: list[_Turn] = []
        for age in _ages():
            made = self._registry.unsettled(since - age, until - age, called_after=called_after, most=MOST + 1)
            found += [_Turn(each.made_at + age, each) for each in made]
        return sorted(found, key=lambda turn: turn.at)

    # -- one of them --------------------------------------------------------------------------------------------------
    def _ask(self, response: Unsettled, failures: _Failures) -> None:
        """Ask for one and settle it if it has ended; where nobody answered just now its next turn is waited for."""
        upstream_id = response.owned.place.upstream_id
        if upstream_id in failures.silent:
            return
        try:
            usage = self._usage(response)
            if usage is not None:
                self._ledger.finish(response.call_id, response.owned.object_id, usage)
        except _RefusedError as error:
            failures.reasons[str(upstream_id)] = str(error)
        except EgressError as error:
            failures.silent.add(upstream_id)
            failures.reasons[str(upstream_id)] = error.phase
        except Exception as error:  # noqa: BLE001 - an upstream may tell anything; the others shall have their turn
            failures.reasons[str(upstream_id)] = type(error).__name__

    def _usage(self, response: Unsettled) -> Usage | None:
        """Return what a response used, None while it goes on or where that isn't told.

        Raises ``_RefusedError`` for what is no response of this id, ``EgressError``, and what odd answers lead to.
        """
        owned, place = response.owned, response.owned.place
        caller = Caller(response.user_id, 0, "")
        call = Call(id="", request_id="", endpoint=RETRIEVE, caller=caller, object_id=owned.object_id)
        outgoing = UPSTREAMS[place.kind].prepare_object(call, owned)
        fetched = self._egress.fetch(
            outgoing.method,
            outgoing.url,
            headers=dict(outgoing.headers),
            proxy=place.proxy,
            timeout_s=ASK_S,
            limit=BODY_MAX,
        )
        if fetched.status != 200:
            raise _RefusedError(f"status {fetched.status}")
        told = _told.decode(fetched.body)
        if told.id != owned.object_id:
            raise _RefusedError("another response")
        if told.status not in TERMINAL:
            return None
        usage = from_object(told.usage, tier=told.service_tier)
        return usage if usage.raw is not None else None


def _ages() -> Iterator[timedelta]:
    """Yield the ages at which a response has its turns."""
    last, age = LIFE_S - LAST_S, FIRST_S
    while age < last:
        yield timedelta(seconds=age)
        age *= 2
    yield timedelta(seconds=last)


def _number(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def _micros(seconds: float) -> int:
    return int(seconds * 1_000_000)


def _moment(number: int) -> datetime:
    return EPOCH + number * MICROSECOND
