"""Collects what becomes of one call, and turns it into its record: once, whatever happens afterwards."""

from __future__ import annotations

import time

from app.protocol.call import Call, Place
from app.protocol.endpoints import Kind
from app.protocol.record import Attempt, End, Record
from app.protocol.usage import UNKNOWN, Usage
from app.relay.ports import Ledger
from app.relay.watch import Cut

ENDS = {
    Cut.CLIENT_LEFT: End.CLIENT_LEFT,
    Cut.SLOW_READER: End.SLOW_READER,
    Cut.DRAIN: End.DRAINED,
}
CLIENT_LEFT_STATUS = 499


class Trace:
    """The story of one call for the ledger. Times are monotonic seconds until they become ms in the record."""

    def __init__(self, call: Call, ledger: Ledger) -> None:
        self._call = call
        self._ledger = ledger
        self._at = time.time_ns() / 1e9
        self._attempts: list[Attempt] = []
        self.settled = False
        self._upstream_model = ""
        self.first_byte_ms: int | None = None
        self.bytes_out = 0

    def attempted(
        self, place: Place, *, model: str, since: float, status: int | None, error: str = "", upstream_id: str = ""
    ) -> None:
        """Keep one attempt."""
        self._upstream_model = model
        self._attempts.append(
            Attempt(
                upstream_id=place.upstream_id,
                credential_id=place.credential_id,
                status=status,
                error=error[:200],
                first_byte_ms=None if status is None else _ms_since(since),
                total_ms=_ms_since(since),
                upstream_request_id=upstream_id[:200],
            )
        )

    def sent(self, block: bytes) -> None:
        """Count what goes to the client."""
        if self.first_byte_ms is None:
            self.first_byte_ms = _ms_since(self._call.started)
        self.bytes_out += len(block)

    def settle(self, end: End, *, status: int, usage: Usage = UNKNOWN, reason: str = "") -> None:
        """Hand the record to the ledger; every later settle of the same call is nothing."""
        if self.settled:
            return
        self.settled = True
        call = self._call
        if call.endpoint.kind not in {Kind.CREATE, Kind.TOOL}:
            return
        self._ledger.settle(
            Record(
                id=call.id,
                at=self._at,
                request_id=call.request_id,
                user_id=call.caller.user_id,
                token_id=call.caller.token_id,
                endpoint=call.endpoint.name,
                protocol=call.endpoint.protocol,
                model=call.model[:200],
                upstream_model=self._upstream_model[:200],
                stream=call.stream,
                status=status,
                end=end,
                reason=reason[:200],
                first_byte_ms=self.first_byte_ms,
                total_ms=_ms_since(call.started),
                bytes_in=0 if call.body is None else len(call.body.body),
                bytes_out=self.bytes_out,
                usage=usage,
                attempts=tuple(self._attempts),
            )
        )


def _ms_since(moment: float) -> int:
    return max(0, round((time.monotonic() - moment) * 1000))
