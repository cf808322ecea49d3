"""Every failure of the room, told in the caller's protocol; and the paths that don't exist."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from app.api import door, machinery
from app.api.door import Visit
from app.api.views import respond
from app.protocol.call import Reply
from app.protocol.errors import Problem, RelayError, render
from app.relay.link import ClientLeftError
from app.relay.trace import CLIENT_LEFT_STATUS

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")
MISTAKEN = ("/responses", "/chat/completions", "/messages", "/models", "/embeddings", "/completions")
"""What clients ask for when their base URL lacks the ``/v1``."""
log = structlog.get_logger()


def add_rules(blueprint: Blueprint) -> None:
    """Catch what no endpoint's rule takes."""
    for rule in ("/v1", "/v1/", "/v1/<path:rest>", *MISTAKEN, *(f"{path}/<path:rest>" for path in MISTAKEN)):
        blueprint.add_url_rule(rule, "unknown", unknown, methods=METHODS, provide_automatic_options=False)


def unknown(rest: str = "") -> Response:
    """Answer for a path or method that isn't there; says what the base URL should be. Always raises."""
    allowed = _allowed_methods()
    if allowed:
        message = f"{request.method} is not allowed here; use {allowed}."
        raise RelayError(Problem.METHOD_NOT_ALLOWED, message, allow=allowed)
    raise RelayError(Problem.UNKNOWN_PATH, f"Unknown path {request.path[:200]}. {_base_url_hint()}")


def unrouted() -> Response | None:
    """Answer what not even the catch-all takes under ``/v1``: odd methods, doubled slashes, WebSockets."""
    if request.routing_exception is None or not (request.path + "/").startswith("/v1/"):
        return None
    try:
        response = door.enter() or unknown()
    except RelayError as error:
        response = answer(error)
    return door.leave(response)


def answer(error: Exception) -> Response:
    """Flask's hook for whatever a view raised."""
    return respond(refusal(error, g.visit))


def refusal(error: Exception, visit: Visit) -> Reply:
    """Return what a caller is told of a failure."""
    if isinstance(error, RelayError):
        return _told(error, visit)
    if isinstance(error, ClientLeftError):
        return Reply(CLIENT_LEFT_STATUS, [], iter(()), 0)
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return _told(RelayError(Problem.INVALID_VALUE, error.description or error.name), visit)
    log.error("internal_error", exc_info=error, call=visit.call_id, request_id=visit.request_id)
    message = "Something went wrong inside Realms; its log has the request id."
    return _told(RelayError(Problem.INTERNAL, message), visit)


def _told(error: RelayError, visit: Visit) -> Reply:
    body = render(error, visit.protocol, visit.request_id)
    headers = [("content-type", "application/json"), *error.headers]
    if error.retry_after is not None:
        headers.append(("retry-after", str(max(1, error.retry_after))))
    if error.allow:
        headers.append(("allow", error.allow))
    if error.problem is Problem.INVALID_API_KEY:
        headers.append(("www-authenticate", "Bearer"))
    if error.problem is Problem.NO_WEBSOCKET:
        headers.append(("upgrade", "HTTP/1.1"))
    return Reply(error.status(visit.protocol), headers, iter((body,)), len(body))


def _allowed_methods() -> str:
    """Return the methods that the path has under another rule than the catch-all."""
    adapter = current_app.create_url_adapter(request)
    allowed = []
    for method in ("GET", "POST", "DELETE"):
        try:
            name, _ = adapter.match(method=method, websocket=False) if adapter else ("", {})
        except HTTPException:
            continue
        if name.startswith("api.") and name != "api.unknown":
            allowed.append(method)
    return ", ".join(allowed)


def _base_url_hint() -> str:
    base = machinery().settings.public_url
    return f"The base URL is {base}/v1 for OpenAI clients and {base} for Anthropic clients."
