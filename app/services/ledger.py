"""Keeps the record of each call: once, and never lost to a killed worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gevent
import msgspec
import structlog
from sqlalchemy import Engine, ScalarSelect
from sqlalchemy.exc import SQLAlchemyError

from app.protocol import record as values
from app.protocol.call import Caller
from app.protocol.endpoints import BY_NAME, Kind
from app.protocol.errors import Problem, RelayError
from app.protocol.price import FREE, UNPRICED, Bill, Price, at, bill
from app.protocol.usage import Usage, UsageState, tokens_of
from app.services.background import complete, maker
from app.services.directory import Directory
from app.services.limits import Limits
from app.services.pen import Pen

log = structlog.get_logger()


class Ledger:
    """Writes through the pen."""

    def __init__(
        self,
        engine: Engine,
        pen: Pen,
        directory: Directory,
        limits: Limits,
        *,
        listeners: Sequence[Callable[[values.Record], None]] = (),
    ) -> None:
        self._engine = engine
        self._pen = pen
        self._directory = directory
        self._limits = limits
        self._listeners = tuple(listeners)
        self._prices: dict[str, tuple[Price, ...]] = {}
        """Those that calls under way were admitted under, by their ids: their models may be gone when they end."""
        pen.closed = self._closed

    def admit(self) -> None:
        """Raise ``RelayError`` (503) when there is no room left to keep the record of another call."""
        if not self._pen.accepts:
            raise RelayError(Problem.OVERLOADED, "Realms can't keep records now; try again later.", retry_after=30)

    def open(self, record: values.Record) -> None:
        """Keep that a call has begun: a record with the end ``aborted``, which holds if no other follows."""
        self._prices[record.id] = self._directory.snapshot.prices(record.model)
        self._pen.open(record)

    def settle(self, record: values.Record) -> None:
        """Keep a finished call's record, and what it cost."""
        record = self._billed(record)
        self._limits.settle(record)
        self._pen.note(record)
        for listen in self._listeners:
            listen(record)

    def _billed(self, record: values.Record) -> values.Record:
        bill = self._bill(record, self._prices.pop(record.id, ()))
        if bill is UNPRICED:
            return record
        return msgspec.structs.replace(record, cost=bill.cost, price=bill.price)

    def _bill(self, record: values.Record, admitted: tuple[Price, ...]) -> Bill:
        """Return what a call costs; nothing where no provider took it on, or nothing is charged for its kind."""
        endpoint = BY_NAME.get(record.endpoint)  # None: it is another release's, whose journal was found
        last = record.attempts[-1] if record.attempts else None
        answered = last.status if last is not None and last.sent else 0
        if endpoint is not None and (endpoint.kind is Kind.TOOL or not endpoint.needs_model):
            return FREE
        if record.usage.state is UsageState.UNKNOWN and answered is not None and not 200 <= answered < 300:
            return FREE
        price = at(admitted, record.at) or at(self._directory.snapshot.prices(record.model), record.at)
        return bill(price, record.usage)

    def _closed(self, record: values.Record) -> values.Record:
        """Return the record of a call whose worker died: its answer is guessed at nothing, its request by its size."""
        usage, endpoint = record.usage, BY_NAME.get(record.endpoint)
        if endpoint is not None and endpoint.kind is Kind.CREATE:
            usage = usage.at_least(input=tokens_of(record.bytes_in), output=0)
        return self._billed(msgspec.structs.replace(record, usage=usage))

    def complete(self, caller: Caller, object_id: str, usage: Usage) -> None:
        """Give the record of a background response the usage that its owner has now read; aside, nobody waits."""
        gevent.spawn(self._complete, caller, object_id, usage)

    def _complete(self, caller: Caller, object_id: str, usage: Usage) -> None:
        self.finish(maker(caller.user_id, object_id), object_id, usage)

    def finish(self, made_by: str | ScalarSelect[str], object_id: str, usage: Usage) -> None:
        """Give the record of the call that made a response what it used, now that it is known; waits for that."""
        try:
            with self._engine.begin() as connection:
                done = complete(connection, made_by, usage=usage, billed=self._billed)
        except (SQLAlchemyError, OSError) as error:
            log.warning("background_not_settled", object=object_id, error=type(error).__name__)
            return
        if done is not None:
            self._pen.uncounted([done])  # first: what its reservation has made up for so far may be missing then
            self._limits.complete(done)
