"""What happens to every request of the room before and after its view."""

from __future__ import annotations

from flask import Response, g, request

from app.api import machinery
from app.protocol.endpoints import Protocol
from app.protocol.errors import Problem, RelayError
from app.protocol.ids import call_id, request_id
from app.web.proxies import SCHEME

PUBLIC = frozenset({"api.livez", "api.readyz", "api.healthz", "api.probe"})
CORS_HEADERS = "authorization, content-type, x-api-key, anthropic-version, anthropic-beta, openai-beta, x-request-id"


def enter() -> Response | None:
    """Name the request, and find out who calls. Raises ``RelayError``.

    Everything of an earlier request on the same connection is replaced here: one greenlet serves a connection, so
    nothing else would.
    """
    environ = request.environ
    g.call_id = call = call_id()
    g.request_id = request_id(environ.get("HTTP_X_REQUEST_ID", ""), call)
    g.caller = None
    if request.endpoint in PUBLIC:
        return None
    parts = machinery()
    if environ["REQUEST_METHOD"] == "OPTIONS" and parts.settings.cors_origins:
        return _preflight()
    if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        raise RelayError(Problem.NO_WEBSOCKET, "WebSockets are not offered here; use POST /v1/responses over HTTP.")
    _require_https()
    g.caller = parts.callers.authenticate(environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_X_API_KEY"))
    return None


def leave(response: Response) -> Response:
    """Put the request's name on every answer."""
    if request.endpoint in PUBLIC:
        return response
    name = g.request_id
    response.headers["x-request-id"] = name
    if protocol() is Protocol.ANTHROPIC:
        response.headers["request-id"] = name
    origin = request.environ.get("HTTP_ORIGIN")
    if origin and origin in machinery().settings.cors_origins:
        response.headers["access-control-allow-origin"] = origin
        response.headers["access-control-expose-headers"] = "x-request-id, request-id, retry-after"
        response.headers.add("vary", "Origin")
    return response


def protocol() -> Protocol:
    """Return whose errors the caller understands: by the path, or by Anthropic's own header."""
    environ = request.environ
    if environ["PATH_INFO"].startswith("/v1/messages") or "HTTP_ANTHROPIC_VERSION" in environ:
        return Protocol.ANTHROPIC
    return Protocol.OPENAI


def _preflight() -> Response:
    response = Response(status=204)
    response.headers["access-control-allow-methods"] = "GET, POST, DELETE"
    response.headers["access-control-allow-headers"] = CORS_HEADERS
    response.headers["access-control-max-age"] = "600"
    return response


def _require_https() -> None:
    """Refuse a token that a trusted proxy saw travel in clear; no redirect, which would teach it to go on so."""
    settings = machinery().settings
    if settings.https and request.environ.get(SCHEME) == "http":
        raise RelayError(Problem.INSECURE, f"Use {settings.public_url}; tokens must not travel in clear.")
