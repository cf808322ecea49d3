"""What happens to every request of the room before and after its view: a name, and the question who calls.

All of it works on the WSGI environ, so that both doors of the house (Flask's views and ``front``) share it.
"""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Response, g, request

from app.api import Machinery, machinery
from app.api.asked import Asked, asked
from app.protocol.call import Caller
from app.protocol.endpoints import Protocol
from app.protocol.errors import Problem, RelayError
from app.protocol.ids import call_id
from app.services.snapshot import Snapshot
from app.web.proxies import SCHEME

PUBLIC = frozenset({"api.livez", "api.readyz", "api.healthz", "api.probe", "api.metrics"})
CORS_HEADERS = "authorization, content-type, x-api-key, anthropic-version, anthropic-beta, openai-beta, x-request-id"
EXPOSED_HEADERS = "x-request-id, request-id, retry-after"


class Visit(msgspec.Struct):
    """One request at the door. ``caller`` is known once it was admitted."""

    environ: dict[str, Any]
    asked: Asked
    call_id: str
    request_id: str
    protocol: Protocol
    caller: Caller | None = None
    snapshot: Snapshot | None = None
    """Where the caller was found."""


def arrive(environ: dict[str, Any]) -> Visit:
    """Name a request, and find out whose errors its caller understands."""
    told, name = asked(environ), call_id()
    return Visit(environ, told, name, told.request_id or f"req_{name}", told.protocol)


def admit(visit: Visit, parts: Machinery) -> None:
    """Find out who calls. Raises ``RelayError``."""
    parts.start()
    environ = visit.environ
    if "HTTP_UPGRADE" in environ and environ["HTTP_UPGRADE"].lower() == "websocket":
        raise RelayError(Problem.NO_WEBSOCKET, "WebSockets are not offered here; use POST /v1/responses over HTTP.")
    if SCHEME in environ and environ[SCHEME] == "http" and parts.settings.https:
        # No redirect: it would teach the token to go on travelling in clear.
        raise RelayError(Problem.INSECURE, f"Use {parts.settings.public_url}; tokens must not travel in clear.")
    visit.snapshot = parts.directory.snapshot
    visit.caller = parts.callers.authenticate(
        visit.asked.credentials, address=environ.get("REMOTE_ADDR", ""), client=environ.get("HTTP_USER_AGENT", "")
    )


def farewell(visit: Visit, parts: Machinery) -> list[tuple[str, str]]:
    """Return the headers that every answer carries."""
    headers = [("x-request-id", visit.request_id)]
    if visit.protocol is Protocol.ANTHROPIC:
        headers.append(("request-id", visit.request_id))
    origin = visit.environ.get("HTTP_ORIGIN")
    if origin and origin in parts.settings.cors_origins:
        headers.append(("access-control-allow-origin", origin))
        headers.append(("access-control-expose-headers", EXPOSED_HEADERS))
        headers.append(("vary", "Origin"))
    return headers


def enter() -> Response | None:
    """Flask's hook before a view. Raises ``RelayError``.

    Everything of an earlier request on the same connection is replaced here: one greenlet serves a connection, so
    nothing else would.
    """
    g.visit = visit = arrive(request.environ)
    parts = machinery()
    if request.endpoint in PUBLIC:
        parts.start()
        return None
    if request.method == "OPTIONS" and parts.settings.cors_origins:
        return _preflight()
    admit(visit, parts)
    return None


def leave(response: Response) -> Response:
    """Flask's hook after a view."""
    if request.endpoint not in PUBLIC:
        response.headers.extend(farewell(g.visit, machinery()))
    return response


def _preflight() -> Response:
    response = Response(status=204)
    response.headers["access-control-allow-methods"] = "GET, POST, DELETE"
    response.headers["access-control-allow-headers"] = CORS_HEADERS
    response.headers["access-control-max-age"] = "600"
    return response
