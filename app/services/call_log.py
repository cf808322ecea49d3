"""One line of the log for each call, written by who writes its record, together and aside."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from select import PIPE_BUF

import gevent
import msgspec

from app.protocol.record import End, Record

FLUSH_S = 0.1
LINES_MAX = 20_000
"""Lines that may wait; more are dropped and counted, for a log that nobody takes must not stop the relay."""


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
    end: End
    reason: str
    first_byte_ms: int | None
    total_ms: int
    input: int | None
    output: int | None


class CallLog:
    """Writes the lines of one process: a write for each would cost more than what it tells of."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._dropped = 0

    def start(self) -> None:
        """Begin to write, in this process's hub."""
        gevent.spawn(self._write_for_ever)

    def add(self, records: Iterable[Record]) -> None:
        """Write their lines soon."""
        for record in records:
            if len(self._lines) < LINES_MAX:
                self._lines.append(msgspec.json.encode(_line(record)))
            else:
                self._dropped += 1

    def flush(self) -> None:
        """Write what waits, now."""
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append(msgspec.json.encode({"event": "log_lines_dropped", "count": self._dropped}))
            self._dropped = 0
        for piece in _pieces(lines):
            try:
                os.write(sys.stdout.fileno(), piece)
            except OSError:  # a full disk
                self._dropped += piece.count(b"\n")

    def _write_for_ever(self) -> None:
        while True:
            gevent.sleep(FLUSH_S)
            if self._lines:
                gevent.get_hub().threadpool.apply(self.flush)


def _pieces(lines: list[bytes]) -> Iterator[bytes]:
    """Yield lines together, each time as many as a pipe takes at once: other processes write into it too."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) >= PIPE_BUF:
            yield piece
            piece = b""
        piece += line + b"\n"
    if piece:
        yield piece


def _line(record: Record) -> CallLine:
    return CallLine(
        timestamp=record.moment,
        call=record.id,
        request_id=record.request_id,
        user=record.user_id,
        token=record.token_id,
        endpoint=record.endpoint,
        model=record.model,
        upstream=record.upstream_id,
        status=record.status,
        end=record.end,
        reason=record.reason,
        first_byte_ms=record.first_byte_ms,
        total_ms=record.total_ms,
        input=record.usage.input,
        output=record.usage.output,
    )
