"""Errors in the words and shapes of each protocol, as bodies and as events inside a stream."""

from typing import Any

import msgspec

from simulator.answer import ANTHROPIC, JSON, Answer, Event


class ApiError(Exception):
    """A refusal; the provider renders it in the caller's protocol."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        kind: str | None = None,
        param: str | None = None,
        headers: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.kind = kind
        self.param = param
        self.headers = headers
        self.more: dict[str, Any] = {}


class Dialect(msgspec.Struct, frozen=True):
    """What faults have to know of a protocol's streams."""

    name: str
    opening: int
    """How many events come before the first content."""
    terminals: frozenset[bytes] = frozenset()

    def is_terminal(self, event: Event) -> bool:
        return event.name in self.terminals or event.data == b"[DONE]"


RESPONSES = Dialect(
    "responses",
    2,
    frozenset({b"response.completed", b"response.incomplete", b"response.failed", b"response.cancelled"}),
)
CHAT = Dialect("chat", 1)
MESSAGES = Dialect("messages", 2, frozenset({b"message_stop"}))
PLAIN = Dialect("plain", 0)

OPENAI_KINDS = {
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("invalid_request_error", "access_denied"),
    409: ("conflict_error", "conflict"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", "server_error"),
    502: ("server_error", "bad_gateway"),
    503: ("server_error", "service_unavailable"),
    504: ("server_error", "timeout"),
    529: ("server_error", "overloaded"),
}
ANTHROPIC_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
MESSAGES_BY_STATUS = {
    400: "The request is invalid.",
    402: "Your credit balance is too low to access the API.",
    403: "Your project proj_sim does not have access to this resource.",
    404: "The requested resource was not found.",
    409: "The object was changed by another request.",
    413: "Request exceeds the maximum size.",
    422: "The request could not be processed.",
    429: "Rate limit reached for organization org-sim on requests per min (RPM): Limit 3, Used 3, Requested 1.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The server is currently overloaded. Please try again later.",
    529: "Overloaded",
}


def by_status(status: int, *, code: str | None = None, kind: str | None = None) -> ApiError:
    """The usual error of this status."""
    return ApiError(status, MESSAGES_BY_STATUS.get(status, "Simulated error."), code=code, kind=kind)


def by_code(text: str) -> ApiError:
    """An error from a fault's argument: a status number or an error code."""
    if text.isdigit():
        return by_status(int(text))
    statuses = {"rate_limit_exceeded": 429, "rate_limit_error": 429, "overloaded_error": 529}
    error = by_status(statuses.get(text, 500), code=text, kind=text if text.endswith("_error") else None)
    error.message = f"Simulated error {text}."
    return error


def openai_object(error: ApiError) -> dict[str, Any]:
    kind, code = OPENAI_KINDS.get(error.status, ("invalid_request_error", None))
    return {
        "message": error.message,
        "type": error.kind or kind,
        "param": error.param,
        "code": error.code or (code if error.kind is None else None),
        **error.more,
    }


def anthropic_object(error: ApiError) -> dict[str, Any]:
    kind = error.kind or ANTHROPIC_KINDS.get(error.status, "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": "req_011CSimulated",
    }


def error_answer(dialect: Dialect, error: ApiError) -> Answer:
    if dialect is MESSAGES:
        body = msgspec.json.encode(anthropic_object(error))
        return Answer(error.status, body, headers=error.headers, brand=ANTHROPIC)
    body = msgspec.json.encode({"error": openai_object(error)})
    return Answer(error.status, body, content_type=JSON, headers=error.headers)


def error_event(dialect: Dialect, error: ApiError, sequence: int) -> Event:
    if dialect is MESSAGES:
        return Event(b"error", msgspec.json.encode(anthropic_object(error)))
    inner = openai_object(error)
    if dialect is CHAT:
        return Event(b"", msgspec.json.encode({"error": inner}))
    event = {
        "type": "error",
        "sequence_number": sequence,
        "code": inner["code"] or inner["type"],
        "message": error.message,
        "param": None,
    }
    return Event(b"error", msgspec.json.encode(event))
