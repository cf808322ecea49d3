"""The second door: the busiest POSTs reach the same functions without Flask's dispatch.

Only requests that are certain from method and path alone are taken here; everything else goes on to Flask, which has
a view for these endpoints too.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from app.api import Machinery, door, errors, views
from app.protocol.call import Reply
from app.protocol.endpoints import ENDPOINTS, Endpoint

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TAKEN: dict[str, Endpoint] = {endpoint.path: endpoint for endpoint in ENDPOINTS if endpoint.metered}
_STATUS = {status.value: f"{status.value} {status.phrase.upper()}" for status in HTTPStatus}
"""Spelled as Flask does it."""


class Front:
    """WSGI middleware over the whole application."""

    def __init__(self, app: WSGIApplication, parts: Machinery) -> None:
        self._app = app
        self._parts = parts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        endpoint = TAKEN.get(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if endpoint is None:
            return self._app(environ, start_response)
        visit = door.arrive(environ)
        try:
            door.admit(visit, self._parts)
            reply = views.relay(endpoint, visit, parts=self._parts)
        except Exception as error:  # noqa: BLE001 - the outermost function of a request: every failure is told
            reply = errors.refusal(error, visit)
        start_response(_status(reply), [*_headers(reply), *door.farewell(visit, self._parts)])
        return reply.body


def _status(reply: Reply) -> str:
    return _STATUS.get(reply.status) or f"{reply.status} UNKNOWN"


def _headers(reply: Reply) -> list[tuple[str, str]]:
    return reply.headers if reply.length is None else [*reply.headers, ("content-length", str(reply.length))]
