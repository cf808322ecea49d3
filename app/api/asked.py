"""What the head of a request says, whoever sends it: made once for all requests that have the very same head.

Only what follows from the head alone stands here. Who a token belongs to, where a request comes from and what it may
do is asked for each one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from app.protocol.endpoints import Protocol
from app.protocol.headers import IDEMPOTENCY_KEY, to_upstream
from app.protocol.ids import wanted_request_id
from app.services.callers import Credentials, credentials

KNOWN = "realms.known"
"""Where a server of ours puts a dict that belongs to a head, and comes again with every request that has the same."""
JSON = "application/json"
TRACEPARENT_LONGEST = 128


class Asked(msgspec.Struct, frozen=True):
    """What was read off one head."""

    protocol: Protocol
    """Whose errors the caller understands: by the path, or by Anthropic's own header."""
    request_id: str
    """The client's own name for the request, empty where it has none that can be used."""
    credentials: Credentials
    headers: tuple[tuple[str, str], ...]
    """Those that may travel on as they are."""
    idempotency_key: str
    brings_json: bool
    traceparent: str


def asked(environ: dict[str, Any]) -> Asked:
    """Return what the head in a WSGI environ says."""
    known = environ.get(KNOWN)
    if known is None:
        return _read(environ)
    told: Asked | None = known.get(Asked)
    if told is None:
        told = known[Asked] = _read(environ)
    return told


def _read(environ: dict[str, Any]) -> Asked:
    anthropic = environ["PATH_INFO"].startswith("/v1/messages") or "HTTP_ANTHROPIC_VERSION" in environ
    kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    headers = dict(to_upstream(environ))
    return Asked(
        protocol=Protocol.ANTHROPIC if anthropic else Protocol.OPENAI,
        request_id=wanted_request_id(environ.get("HTTP_X_REQUEST_ID", "")),
        credentials=credentials(environ.get("HTTP_AUTHORIZATION"), environ.get("HTTP_X_API_KEY")),
        idempotency_key=headers.pop(IDEMPOTENCY_KEY, ""),
        headers=tuple(headers.items()),
        brings_json=kind in {"", JSON} or kind.endswith("+json"),
        traceparent=environ.get("HTTP_TRACEPARENT", "")[:TRACEPARENT_LONGEST],
    )
