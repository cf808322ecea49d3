"""One line of JSON for each event, on standard output."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any

import msgspec
import structlog

VALUE_MAX = 200


def configure() -> None:
    """Set structlog up; called once by ``create_app``."""
    structlog.configure(
        processors=[
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


def _cut(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep what callers sent short; JSON keeps it on one line."""
    for name, value in event.items():
        if isinstance(value, str) and len(value) > VALUE_MAX and name != "exception":
            event[name] = value[:VALUE_MAX]
    return event


def _serialize(event: Any, **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
