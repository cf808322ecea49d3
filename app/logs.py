"""One line of JSON for each event, on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import gevent
import msgspec
import structlog

VALUE_MAX = 200
FLUSH_S = 0.1
EVENTS: dict[str, int] = {}
"""How many lines of each event this process has logged."""
LISTENERS: list[Callable[[Mapping[str, Any]], None]] = []
"""Called with each event of this process, but not with the lines of calls."""
LINES_MAX = 20_000
"""Lines that may wait; more are dropped and counted, for a log that nobody takes must not stop the relay."""


def configure() -> None:
    """Set structlog up; called once by ``create_app``."""
    structlog.configure(
        processors=[
            _count,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _cut,
            structlog.processors.JSONRenderer(serializer=_serialize),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )


class CallLog:
    """The lines of calls, written together and aside: a line for each would cost more than what it tells of."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._dropped = 0

    def start(self) -> None:
        """Begin to write, in this worker's hub."""
        gevent.spawn(self._write_for_ever)

    def add(self, told: msgspec.Struct) -> None:
        """Write a line soon."""
        if len(self._lines) < LINES_MAX:
            self._lines.append(msgspec.json.encode(told))
        else:
            self._dropped += 1

    def flush(self) -> None:
        """Write what waits, now."""
        lines, self._lines = self._lines, []
        if self._dropped:
            lines.append(msgspec.json.encode({"event": "log_lines_dropped", "count": self._dropped}))
            self._dropped = 0
        if lines:
            sys.stdout.buffer.write(b"\n".join((*lines, b"")))
            sys.stdout.buffer.flush()

    def _write_for_ever(self) -> None:
        while True:
            gevent.sleep(FLUSH_S)
            if self._lines:
                gevent.get_hub().threadpool.apply(self.flush)


def _count(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    name = event["event"]
    EVENTS[name] = EVENTS.get(name, 0) + 1
    for listen in LISTENERS:
        listen(event)
    return event


def _cut(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep what callers sent short; JSON keeps it on one line."""
    for name, value in event.items():
        if isinstance(value, str) and len(value) > VALUE_MAX and name != "exception":
            event[name] = value[:VALUE_MAX]
    return event


def _serialize(event: Any, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
