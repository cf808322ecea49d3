"""What is kept of one request, as it travels from the relay through the journal to the database."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from app.protocol.usage import UNKNOWN, Usage


class End(StrEnum):
    """How a request ended."""

    COMPLETED = "completed"
    PENDING = "pending"
    """A background response that goes on without its client."""
    REFUSED = "refused"
    """Told an error before anything of an answer."""
    FAILED = "failed"
    """The upstream's answer itself told of a failure."""
    CLIENT_LEFT = "client_left"
    SLOW_READER = "slow_reader"
    UPSTREAM_CUT = "upstream_cut"
    DRAINED = "drained"
    STOPPED = "stopped"
    """Ended on purpose: the token was revoked, or an administrator ended it."""
    ABORTED = "aborted"
    """Its worker died; the record was closed by who found its journal."""

    @classmethod
    def _missing_(cls, value: object) -> End | None:
        """Read an end that only a newer release knows: its journal is taken over when that release is taken back."""
        return cls.FAILED if isinstance(value, str) else None


GOES_ON = "background"
"""The reason in the record of a stream whose client left a background response: it goes on, and is settled later."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call of one upstream with one credential; times in ms."""

    upstream_id: int
    credential_id: int
    total_ms: int
    after_ms: int = 0
    """When it began, since the call did."""
    sent: bool = True
    """Whether anything of the request may have reached the upstream."""
    status: int | None = None
    error: str = ""
    first_byte_ms: int | None = None
    upstream_request_id: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request of a create or tool endpoint; ``at`` in seconds since the epoch, times in ms."""

    id: str
    at: float
    request_id: str
    user_id: int
    token_id: int
    endpoint: str
    protocol: str
    status: int
    end: End
    total_ms: int
    model: str = ""
    upstream_model: str = ""
    stream: bool = False
    reason: str = ""
    first_byte_ms: int | None = None
    first_content_ms: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    usage: Usage = UNKNOWN
    cost: int | None = None
    """In nano-dollars; None is unknown, not zero."""
    price: dict[str, Any] | None = None
    """The rates that the cost was computed with."""
    conversation: str = ""
    """A hash of what the client named the conversation by."""
    attempts: tuple[Attempt, ...] = ()
    left_out: tuple[tuple[str, str], ...] | None = None
    """What was left out when the call was placed, and why, where something was; named as ``services.health`` does."""
    traceparent: str = ""
    """The trace that its client began; told to nobody but the receiver of traces, and not kept."""

    @property
    def moment(self) -> datetime:
        """``at`` as an aware date."""
        return moment(self.at)

    @property
    def upstream_id(self) -> int | None:
        """Where the last attempt went."""
        return self.attempts[-1].upstream_id if self.attempts else None

    @property
    def credential_id(self) -> int | None:
        """What the last attempt was made with."""
        return self.attempts[-1].credential_id if self.attempts else None


def line_of(record: Record) -> bytes:
    """Return a record as one line of JSON."""
    try:
        return msgspec.json.encode(record) + b"\n"
    except RecursionError:  # what an upstream told of usage is nested deeper than anybody writes
        without = msgspec.structs.replace(record, usage=msgspec.structs.replace(record.usage, raw=None))
        return msgspec.json.encode(without) + b"\n"


def read(line: bytes) -> Record:
    """Return the record of a line. Raises ``msgspec.DecodeError`` (``ValidationError`` among them)."""
    return _decoder.decode(line)


def read_all(lines: bytes) -> list[Record]:
    """Return the records of lines. Raises as ``read`` does."""
    return _decoder.decode_lines(lines)


def moment(seconds: float) -> datetime:
    """Return a record's ``at`` as an aware date."""
    return datetime.fromtimestamp(seconds, UTC)


_decoder = msgspec.json.Decoder(Record)
