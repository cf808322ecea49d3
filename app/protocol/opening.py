"""Tells the opening events of a stream from its first content, and reads the error that may stand in their place.

An error hidden in a 200 is as good as the status it stands for, as long as nothing was shown. Sources: OpenAI's and
Anthropic's API references (streaming, errors).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

from app.protocol import sse
from app.protocol.endpoints import Shape

_HELD = {
    Shape.RESPONSES: frozenset({"response.created", "response.in_progress", "response.queued"}),
    Shape.MESSAGES: frozenset({"message_start", "ping"}),
    Shape.CHAT: frozenset[str](),
    Shape.OTHER: frozenset[str](),
}
STATUS_OF = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "content_policy_violation": 400,
    "content_filter": 400,
    "string_above_max_length": 400,
    "unsupported_parameter": 400,
    "unsupported_value": 400,
    "invalid_encrypted_content": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "access_denied": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "requests": 429,
    "tokens": 429,
    "insufficient_quota": 429,
    "usage_limit_reached": 429,
    "billing_hard_limit_reached": 429,
    "api_error": 500,
    "server_error": 500,
    "overloaded": 529,
    "overloaded_error": 529,
    "server_is_overloaded": 529,
    "slow_down": 529,
    "service_unavailable": 503,
    "timeout": 504,
    "timeout_error": 504,
}
"""The status that an error's code or type stands for."""
_REQUESTS_OWN = ("invalid_", "image_", "unsupported_", "context_")
"""How codes begin that speak of the request; providers keep adding some."""


class Seen(Enum):
    """What an event is."""

    OPENING = 1
    CONTENT = 2
    ERROR = 3


class HiddenError(msgspec.Struct, frozen=True):
    """An error inside a 200: the status it stands for, and the error as a body would tell it."""

    status: int
    body: bytes


class _Data(msgspec.Struct):
    type: Any = None
    code: Any = None
    message: Any = None
    error: Any = None
    response: Any = None
    choices: Any = None


_data = msgspec.json.Decoder(_Data)


class Opening:
    """The first events of one stream, in blocks of whole events."""

    __slots__ = ("_shape", "error")

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self.error: HiddenError | None = None

    def over(self, block: bytes) -> bool:
        """Whether a block holds more than opening events: content, or an error, which ``error`` then tells."""
        return any(self._look(event) is not Seen.OPENING for event in _events(block))

    def _look(self, event: bytes) -> Seen:
        name = _name(event)
        if name in _HELD[self._shape]:
            return Seen.OPENING
        told = sse.read(event)
        if not told.data:
            return Seen.OPENING  # a comment
        data = _read(told.data)
        if data is None:
            return Seen.CONTENT
        name = name or (data.type if isinstance(data.type, str) else "")
        if name in _HELD[self._shape]:
            return Seen.OPENING
        error = _error_in(name, data)
        if error is not None:
            self.error = hidden_error(error)
            return Seen.ERROR
        return Seen.OPENING if self._shape is Shape.CHAT and _is_role_only(data.choices) else Seen.CONTENT


def _events(block: bytes) -> Iterator[bytes]:
    """As ``sse.split``; quick for the usual line ends, for a first event may be as large as its request."""
    if b"\r" in block:
        yield from sse.split(block)
        return
    start = 0
    while start < len(block):
        end = block.find(b"\n\n", start)
        end = len(block) if end < 0 else end + 2
        yield block[start:end]
        start = end


def error_in(event: bytes) -> HiddenError | None:
    """Return the error that one event tells of, None for any other event."""
    data = _read(sse.read(event).data)
    if data is None:
        return None
    error = _error_in(_name(event) or str(data.type or ""), data)
    return hidden_error(error) if error is not None else None


def hidden_error(error: dict[str, Any]) -> HiddenError:
    """Return an error object with the status that it stands for."""
    names = [str(error[key]) for key in ("code", "type") if error.get(key) not in (None, "", "error")]
    return HiddenError(_status(names), msgspec.json.encode({"error": error}))


def _status(names: list[str]) -> int:
    for name in names:
        if name in STATUS_OF:
            return STATUS_OF[name]
        if name.isdecimal() and 400 <= int(name[:4]) < 600:
            return int(name)
    return 400 if any(name.startswith(_REQUESTS_OWN) for name in names) else 500


def _name(event: bytes) -> str:
    """Return an event's name where that is its first line, as providers write it."""
    if not event.startswith(b"event:"):
        return ""
    end = min((at for at in (event.find(b"\n"), event.find(b"\r")) if at >= 0), default=len(event))
    return event[6:end].strip().decode("latin-1")


def _error_in(name: str, data: _Data) -> dict[str, Any] | None:
    if isinstance(data.error, dict):
        return data.error
    if name == "response.failed" and isinstance(data.response, dict):
        error = data.response.get("error")
        return error if isinstance(error, dict) else {"code": "server_error"}
    if name == "error":
        return {"code": data.code, "message": data.message}
    return None


def _is_role_only(choices: Any) -> bool:
    """Whether a chunk tells nothing but who speaks."""
    if not isinstance(choices, list) or not choices:
        return False
    return all(isinstance(choice, dict) and _is_bare(choice) for choice in choices)


def _is_bare(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    told = {key for key, value in delta.items() if value not in (None, "", [])} if isinstance(delta, dict) else {""}
    return told <= {"role"} and not choice.get("finish_reason")


def _read(data: bytes) -> _Data | None:
    try:
        return _data.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
