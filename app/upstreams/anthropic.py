"""Anthropic and every server that speaks its Messages API."""

from __future__ import annotations

from app.protocol.call import Call, Place
from app.protocol.endpoints import ENDPOINTS, Protocol
from app.upstreams.base import Adapter, Outgoing

VERSION = "2023-06-01"
"""Sent where the caller names none."""


class Anthropic(Adapter):
    """Keys as ``x-api-key``, Messages and token counting."""

    kind = "anthropic"
    auth = "x-api-key"
    label = "Anthropic-compatible"
    default_base_url = "https://api.anthropic.com"
    served = frozenset(endpoint.name for endpoint in ENDPOINTS if endpoint.protocol is Protocol.ANTHROPIC)

    def list_request(self, place: Place) -> tuple[str, dict[str, str]]:
        url, headers = super().list_request(place)
        return f"{url}{'&' if '?' in url else '?'}limit=1000", headers | {"anthropic-version": VERSION}

    def _outgoing(self, call: Call, place: Place, body: bytes | None, *, object_id: str = "") -> Outgoing:
        outgoing = super()._outgoing(call, place, body, object_id=object_id)
        if any(name == "anthropic-version" for name, _ in call.headers):
            return outgoing
        headers = (*outgoing.headers, ("anthropic-version", VERSION))
        return Outgoing(outgoing.method, outgoing.url, headers, outgoing.body)
