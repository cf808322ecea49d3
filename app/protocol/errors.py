"""The one table of errors, and how each protocol says them.

Shapes: OpenAI's error object (all four members always), Anthropic's ``{"type": "error", ...}``, and the error event of
each stream dialect.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import msgspec

from app.protocol.endpoints import ObjectKind, Protocol, Shape

OBJECT_ID_SHOWN = 512


class _Row(NamedTuple):
    status: int
    type: str
    code: str | None
    anthropic: str


class Problem(Enum):
    """What can go wrong: status, OpenAI type and code, Anthropic type. Anthropic says 529 for 503, and 402."""

    INVALID_JSON = _Row(400, "invalid_request_error", "invalid_json", "invalid_request_error")
    INVALID_TYPE = _Row(400, "invalid_request_error", "invalid_type", "invalid_request_error")
    INVALID_VALUE = _Row(400, "invalid_request_error", "invalid_value", "invalid_request_error")
    MISSING_PARAMETER = _Row(400, "invalid_request_error", "missing_required_parameter", "invalid_request_error")
    PREVIOUS_RESPONSE_NOT_FOUND = _Row(
        400, "invalid_request_error", "previous_response_not_found", "invalid_request_error"
    )
    SPREAD_STATE = _Row(400, "invalid_request_error", "objects_at_different_upstreams", "invalid_request_error")
    INVALID_API_KEY = _Row(401, "invalid_request_error", "invalid_api_key", "authentication_error")
    INSECURE = _Row(403, "permission_error", "https_required", "permission_error")
    WRONG_ADDRESS = _Row(403, "permission_error", "address_not_allowed", "permission_error")
    STOPPED = _Row(403, "permission_error", "call_ended", "permission_error")
    MODEL_NOT_FOUND = _Row(404, "invalid_request_error", "model_not_found", "not_found_error")
    RESPONSE_NOT_FOUND = _Row(404, "invalid_request_error", "response_not_found", "not_found_error")
    CHAT_NOT_FOUND = _Row(404, "invalid_request_error", "chat_completion_not_found", "not_found_error")
    CONVERSATION_NOT_FOUND = _Row(404, "invalid_request_error", "conversation_not_found", "not_found_error")
    ITEM_NOT_FOUND = _Row(404, "invalid_request_error", "item_not_found", "not_found_error")
    UNKNOWN_PATH = _Row(404, "invalid_request_error", "unknown_url", "not_found_error")
    METHOD_NOT_ALLOWED = _Row(405, "invalid_request_error", "method_not_allowed", "invalid_request_error")
    BODY_TIMEOUT = _Row(408, "invalid_request_error", "request_timeout", "timeout_error")
    UNREADABLE = _Row(409, "invalid_request_error", "encrypted_state_unreadable", "invalid_request_error")
    TOO_LARGE = _Row(413, "invalid_request_error", "request_too_large", "request_too_large")
    UNSUPPORTED_MEDIA_TYPE = _Row(415, "invalid_request_error", "unsupported_media_type", "invalid_request_error")
    NO_WEBSOCKET = _Row(426, "invalid_request_error", "upgrade_required", "invalid_request_error")
    RATE_LIMITED = _Row(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error")
    INSUFFICIENT_QUOTA = _Row(429, "insufficient_quota", "insufficient_quota", "billing_error")
    INTERNAL = _Row(500, "server_error", "internal_error", "api_error")
    UNSUPPORTED = _Row(501, "not_supported_error", "unsupported_by_upstream", "api_error")
    UPSTREAM = _Row(502, "server_error", "upstream_error", "api_error")
    OVERLOADED = _Row(503, "server_error", "overloaded", "overloaded_error")
    TIMEOUT = _Row(504, "server_error", "upstream_timeout", "timeout_error")


class RelayError(Exception):
    """A failure that the caller is told in its own protocol.

    ``retry_after`` in whole seconds, ``allow`` for a 405, ``headers`` for what else the answer has to carry.
    """

    def __init__(
        self,
        problem: Problem,
        message: str,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        allow: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.allow = allow
        self.headers = headers

    @property
    def code(self) -> str:
        """The word for it in records and logs."""
        return self.problem.value.code or self.problem.name.lower()

    def status(self, protocol: Protocol) -> int:
        """Return the HTTP status in the caller's protocol."""
        status = self.problem.value.status
        if protocol is not Protocol.ANTHROPIC:
            return status
        if self.problem is Problem.INSUFFICIENT_QUOTA:
            return 402
        return 529 if status == 503 else status


def render(error: RelayError, protocol: Protocol, request_id: str) -> bytes:
    """Return the body of an error answer."""
    return msgspec.json.encode(_anthropic(error, request_id) if protocol is Protocol.ANTHROPIC else _openai(error))


def frame(error: RelayError, shape: Shape, request_id: str, *, sequence: int = 0) -> bytes:
    """Return the event that ends a stream badly, in the stream's own dialect.

    ``sequence`` is the ``sequence_number`` after the last one sent, for Responses streams.
    """
    if shape is Shape.MESSAGES:
        return b"event: error\ndata: " + msgspec.json.encode(_anthropic(error, request_id)) + b"\n\n"
    message = f"{error.message} (request id: {request_id})"
    if shape is Shape.RESPONSES:
        told = {
            "type": "error",
            "code": error.code,
            "message": message,
            "param": error.param,
            "sequence_number": sequence,
        }
        return b"event: error\ndata: " + msgspec.json.encode(told) + b"\n\n"
    return b"data: " + msgspec.json.encode(_openai(error, message)) + b"\n\n"


def _openai(error: RelayError, message: str = "") -> dict[str, dict[str, str | None]]:
    row = error.problem.value
    return {"error": {"message": message or error.message, "type": row.type, "param": error.param, "code": row.code}}


def _anthropic(error: RelayError, request_id: str) -> dict[str, object]:
    told = {"type": error.problem.value.anthropic, "message": error.message}
    return {"type": "error", "error": told, "request_id": request_id}


_NOT_FOUND = {
    ObjectKind.RESPONSE: (Problem.RESPONSE_NOT_FOUND, "Response with id '{}' not found."),
    ObjectKind.CHAT_COMPLETION: (Problem.CHAT_NOT_FOUND, "Chat completion with id '{}' not found."),
    ObjectKind.CONVERSATION: (Problem.CONVERSATION_NOT_FOUND, "Conversation with id '{}' not found."),
    ObjectKind.ITEM: (Problem.ITEM_NOT_FOUND, "Item with id '{}' not found."),
}


def not_found(kind: ObjectKind, object_id: str) -> RelayError:
    """Return the one answer for an object that doesn't exist and for one that isn't the caller's."""
    problem, message = _NOT_FOUND[kind]
    return RelayError(problem, message.format(object_id[:OBJECT_ID_SHOWN]), param="id")
