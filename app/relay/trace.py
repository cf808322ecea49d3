"""Collects what becomes of one call, and turns it into its record: once, whatever happens afterwards."""

from __future__ import annotations

import re
import time

import msgspec

from app.protocol.call import Call, Place
from app.protocol.endpoints import Kind, Shape
from app.protocol.record import Attempt, End, Record
from app.protocol.usage import UNKNOWN, Usage, UsageState, tokens_of
from app.relay.ports import Ledger
from app.relay.watch import Cut

ENDS = {
    Cut.CLIENT_LEFT: End.CLIENT_LEFT,
    Cut.SLOW_READER: End.SLOW_READER,
    Cut.DRAIN: End.DRAINED,
    Cut.STOPPED: End.STOPPED,
}
CLIENT_LEFT_STATUS = 499
DIED_STATUS = 500
METERED = frozenset({Kind.CREATE, Kind.TOOL})
UNGUESSED = frozenset({End.PENDING, End.REFUSED, End.FAILED})
"""Ends after which nothing was had, or not yet."""
CONTENT = {
    Shape.RESPONSES: re.compile(rb'"delta"'),
    Shape.CHAT: re.compile(rb'"(?:content|reasoning_content|reasoning|arguments|refusal)"\s*:\s*"[^"]'),
    Shape.MESSAGES: re.compile(rb"content_block_delta"),
}
"""What the first event with content has in it, and the opening events before it have not."""
COUNTED_MAX = 2048
"""Bytes of a block whose lines are counted."""
OPENING_EVENTS = 3
"""Events of a stream that carry no token, roughly; all others carry about one."""


class Trace:
    """The story of one call for the ledger. Times are monotonic seconds until they become ms in the record."""

    place: Place | None = None
    """Where the call is being tried."""
    settled = False
    conversation = ""
    left_out: tuple[tuple[str, str], ...] | None = None
    first_byte_ms: int | None = None
    first_content_ms: int | None = None
    bytes_out = 0
    _begun: Record | None = None
    _upstream_model = ""
    _lines = 0

    def __init__(self, call: Call, ledger: Ledger) -> None:
        self.call = call
        self._ledger = ledger
        self.at = time.time_ns() / 1e9
        self._attempts: list[Attempt] = []
        self._content = CONTENT.get(call.endpoint.shape) if call.stream else None

    @property
    def admitted(self) -> bool:
        """Whether the call was admitted and has not ended."""
        return self._begun is not None and not self.settled

    def begin(self) -> None:
        """Let the ledger know that an upstream is about to be called, in case this worker dies meanwhile."""
        if self.call.endpoint.kind in METERED:
            self._begun = self._record()
            self._ledger.open(self._begun)

    def attempted(
        self,
        place: Place,
        *,
        model: str,
        since: float,
        status: int | None,
        sent: bool = True,
        error: str = "",
        upstream_id: str = "",
    ) -> None:
        """Keep one attempt."""
        self._upstream_model = model
        took = _ms_since(since)
        self._attempts.append(
            Attempt(
                upstream_id=place.upstream_id,
                credential_id=place.credential_id,
                status=status,
                sent=sent,
                error=error[:200],
                first_byte_ms=None if status is None else took,
                total_ms=took,
                after_ms=max(0, int((since - self.call.started) * 1000 + 0.5)),
                upstream_request_id=upstream_id[:200],
            )
        )

    def judged(self, error: str) -> None:
        """Say of the last attempt what its refusal was found to mean."""
        self._attempts[-1] = msgspec.structs.replace(self._attempts[-1], error=error)

    def left_without(self, place: Place) -> None:
        """Say that what the account at a place can't read was left out."""
        self.left_out = (*(self.left_out or ()), (f"s:{place.credential_id}", "unreadable"))

    def sent(self, block: bytes) -> None:
        """Count what goes to the client."""
        if self.first_content_ms is None:
            self._first(block)
        self.bytes_out += len(block)
        if self._content is not None:
            self._lines += _lines_in(block)

    @property
    def events(self) -> int:
        """How many events went to the client, roughly: by the lines that they have."""
        return self._lines // (2 if self.call.endpoint.shape is Shape.CHAT else 3)

    def _first(self, block: bytes) -> None:
        now = _ms_since(self.call.started)
        if self.first_byte_ms is None:
            self.first_byte_ms = now
        if self._content is None or self._content.search(block):
            self.first_content_ms = now

    def settle(self, end: End, *, status: int, usage: Usage = UNKNOWN, reason: str = "") -> None:
        """Hand the record to the ledger; every later settle of the same call is nothing."""
        if self.settled:
            return
        self.settled = True
        if self.call.endpoint.kind in METERED:
            begun = self._begun or self._record()
            self._ledger.settle(self._ended(begun, end, status=status, usage=self._known(end, usage), reason=reason))

    def _known(self, end: End, usage: Usage) -> Usage:
        """Return the usage, with guesses where a provider took the call on and didn't tell what it came to."""
        if usage.state is UsageState.REPORTED:
            return usage
        accepted = self._attempts and 200 <= (self._attempts[-1].status or 0) < 300
        if not accepted or end in UNGUESSED or self.call.endpoint.kind is not Kind.CREATE:
            return usage
        size = 0 if self.call.body is None else self.call.body.size
        written = max(0, self.events - OPENING_EVENTS) if self._content is not None else tokens_of(self.bytes_out)
        return usage.at_least(input=tokens_of(size), output=written)

    def _record(self) -> Record:
        """Return what is known of a call from its beginning; it holds if this worker dies."""
        call = self.call
        return Record(
            id=call.id,
            at=self.at,
            request_id=call.request_id,
            user_id=call.caller.user_id,
            token_id=call.caller.token_id,
            endpoint=call.endpoint.name,
            protocol=call.endpoint.protocol,
            model=call.model,
            stream=call.stream,
            status=DIED_STATUS,
            end=End.ABORTED,
            total_ms=0,
            bytes_in=0 if call.body is None else call.body.size,
            conversation=self.conversation,
            traceparent=call.traceparent,
        )

    def _ended(self, begun: Record, end: End, *, status: int, usage: Usage, reason: str) -> Record:
        return msgspec.structs.replace(
            begun,
            upstream_model=self._upstream_model[:200],
            status=status,
            end=end,
            reason=reason[:200].replace("\0", "\ufffd"),  # an upstream's word; not every database can keep a NUL
            first_byte_ms=self.first_byte_ms,
            first_content_ms=self.first_content_ms,
            total_ms=_ms_since(self.call.started),
            bytes_out=self.bytes_out,
            usage=usage,
            attempts=tuple(self._attempts),
            left_out=self.left_out,
        )


def _lines_in(block: bytes) -> int:
    """Return how many lines a block has; of a long one as many as its first part has for its length."""
    size = len(block)
    if size <= COUNTED_MAX:
        return block.count(b"\n")
    return block.count(b"\n", 0, COUNTED_MAX) * size // COUNTED_MAX


def _ms_since(moment: float) -> int:
    return int((time.monotonic() - moment) * 1000 + 0.5)
