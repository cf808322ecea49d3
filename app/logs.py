"""One line of JSON for each event, on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from select import POLLOUT
from typing import Any, BinaryIO, cast

import msgspec
import structlog
from gevent.monkey import get_original

_poll = get_original("select", "poll")
"""The kernel's own: gevent's lets others run meanwhile, and lines are also written where nobody else may run."""
VALUE_MAX = 200
EVENTS: dict[str, int] = {}
"""How many lines of each event this process has logged."""
LISTENERS: list[Callable[[Mapping[str, Any]], None]] = []
"""Called with each event of this process, but not with the lines of calls."""
TRACE_MAX = 3000
"""Of a trace its end is kept: it says most, and a line must fit into what a pipe takes at once (PIPE_BUF)."""


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
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", Out(sys.stdout.buffer))),
        cache_logger_on_first_use=True,
    )


class Out:
    """Standard output for single lines: nobody waits for whoever reads it, and a full disk is no failure."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._taken: Any = None
        with suppress(OSError, ValueError):  # what a test or a terminal's runner puts there may be no file
            descriptor = file.fileno()
            self._taken = _poll()
            self._taken.register(descriptor, POLLOUT)

    def write(self, line: bytes) -> None:
        """Write a line, or count it as dropped. A pipe that can be written to takes 4 KB at once."""
        try:
            if self._taken is not None and not self._taken.poll(0):
                raise BlockingIOError
            self._file.write(line)
            self._file.flush()
        except OSError:
            EVENTS["log_lines_dropped"] = EVENTS.get("log_lines_dropped", 0) + 1

    def flush(self) -> None:
        """Nothing waits."""


def _count(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    name = event["event"]
    EVENTS[name] = EVENTS.get(name, 0) + 1
    for listen in LISTENERS:
        listen(event)
    return event


def _cut(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep what callers sent short; JSON keeps it on one line."""
    for name, value in event.items():
        if isinstance(value, str) and len(value) > VALUE_MAX:
            event[name] = value[-TRACE_MAX:] if name == "exception" else value[:VALUE_MAX]
    return event


def _serialize(event: Any, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
