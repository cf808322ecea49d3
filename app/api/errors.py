"""Every failure of the room, told in the caller's protocol; and the paths that don't exist."""

from __future__ import annotations

import structlog
from flask import Blueprint, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from app.api import door, machinery
from app.api.door import protocol
from app.protocol.errors import Problem, RelayError, render
from app.relay.connect import ClientLeftError
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
        raise RelayError(Problem.METHOD_NOT_ALLOWED, f"{request.method} is not allowed here; use {allowed}.")
    raise RelayError(Problem.UNKNOWN_PATH, f"Unknown path {request.path[:200]}. {_base_url_hint()}")


def unrouted() -> Response | None:
    """Answer what not even the catch-all takes under ``/v1``: odd methods, doubled slashes, WebSockets."""
    if request.routing_exception is None or not (request.path + "/").startswith("/v1/"):
        return None
    try:
        response = door.enter() or unknown()
    except RelayError as error:
        response = told(error)
    return door.leave(response)


def answer(error: Exception) -> Response:
    """Return the answer for whatever a view raised."""
    if isinstance(error, RelayError):
        return told(error)
    if isinstance(error, ClientLeftError):
        return Response(status=CLIENT_LEFT_STATUS)
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        return told(RelayError(Problem.INVALID_VALUE, error.description or error.name))
    log.error("internal_error", exc_info=error, call=g.get("call_id"), request_id=g.get("request_id"))
    return told(RelayError(Problem.INTERNAL, "Something went wrong inside Realms; its log has the request id."))


def told(error: RelayError) -> Response:
    """Return an error in the caller's protocol."""
    speaks = protocol()
    response = Response(render(error, speaks, g.request_id), error.status(speaks), content_type="application/json")
    if error.retry_after is not None:
        response.headers["retry-after"] = str(max(1, error.retry_after))
    if error.problem is Problem.INVALID_API_KEY:
        response.headers["www-authenticate"] = "Bearer"
    if error.problem is Problem.METHOD_NOT_ALLOWED:
        response.headers["allow"] = _allowed_methods()
    if error.problem is Problem.NO_WEBSOCKET:
        response.headers["upgrade"] = "HTTP/1.1"
    return response


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
