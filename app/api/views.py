"""One view for every relayed endpoint: a request becomes a call, a reply becomes a response."""

from __future__ import annotations

import time
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, Response, g, request

from app.api import Machinery, machinery
from app.api.door import Visit
from app.api.reading import connection_of, read_body
from app.protocol.call import Call, Reply
from app.protocol.endpoints import ENDPOINTS, Endpoint, Kind, ObjectKind
from app.protocol.envelope import Envelope, parse
from app.protocol.errors import Problem, RelayError
from app.protocol.headers import offered, to_upstream
from app.settings import Settings

TRACEPARENT_LONGEST = 128
STORED_BY_DEFAULT = frozenset({ObjectKind.RESPONSE, ObjectKind.CONVERSATION})


def add_rules(blueprint: Blueprint) -> None:
    """One rule for each row of ENDPOINTS."""
    for endpoint in ENDPOINTS:
        blueprint.add_url_rule(
            endpoint.path,
            endpoint.name.replace(".", "_"),
            partial(view, endpoint),
            methods=[endpoint.method],
            provide_automatic_options=False,
        )


def view(endpoint: Endpoint, object_id: str = "", item_id: str = "") -> Response:
    """Flask's view of an endpoint. Raises ``RelayError`` or ``ClientLeftError``."""
    if request.method == "HEAD":
        raise RelayError(Problem.METHOD_NOT_ALLOWED, "HEAD is not offered here; use GET.", allow=endpoint.method)
    return respond(relay(endpoint, g.visit, parts=machinery(), object_id=object_id, item_id=item_id))


def relay(endpoint: Endpoint, visit: Visit, *, parts: Machinery, object_id: str = "", item_id: str = "") -> Reply:
    """Relay one admitted call. Raises ``RelayError`` or ``ClientLeftError``."""
    started = time.monotonic()
    extra = offered(visit.environ, names) if (names := parts.directory.snapshot.offered) else ()
    called = partial(_call, endpoint, visit, started=started, extra=extra, object_id=object_id, item_id=item_id)
    try:
        body = _body(endpoint, visit.environ, parts.settings) if endpoint.takes_body else None
        model = _model(endpoint, body)
        stream, stores = _streams(endpoint, body, visit.environ), _stores(endpoint, body)
    except RelayError as error:
        parts.relay.refuse(called(), error)
        raise
    return parts.relay.run(called(body=body, model=model, stream=stream, stores=stores))


def _call(
    endpoint: Endpoint,
    visit: Visit,
    *,
    started: float,
    extra: tuple[tuple[str, str], ...],
    object_id: str,
    item_id: str,
    body: Envelope | None = None,
    model: str = "",
    stream: bool = False,
    stores: bool = False,
) -> Call:
    assert visit.caller is not None  # noqa: S101 - admitted
    environ = visit.environ
    return Call(
        id=visit.call_id,
        request_id=visit.request_id,
        endpoint=endpoint,
        caller=visit.caller,
        query=environ.get("QUERY_STRING", ""),
        headers=tuple(to_upstream(environ)),
        offered=extra,
        object_id=object_id,
        item_id=item_id,
        body=body,
        model=model,
        stream=stream,
        stores=stores,
        traceparent=environ.get("HTTP_TRACEPARENT", "")[:TRACEPARENT_LONGEST],
        started=started,
        connection=connection_of(environ),
    )


def respond(reply: Reply) -> Response:
    """Return a reply as a response whose pieces are sent as they come."""
    length = [] if reply.length is None else [("content-length", str(reply.length))]
    return Response(reply.body, reply.status, headers=reply.headers + length, direct_passthrough=True)


def _body(endpoint: Endpoint, environ: dict[str, Any], settings: Settings) -> Envelope | None:
    """Return the body; an empty one is right for the POSTs that act on an object (cancel), and for nothing else."""
    raw = read_body(environ, settings)
    return parse(raw) if raw or endpoint.kind is not Kind.OBJECT else None


def _model(endpoint: Endpoint, body: Envelope | None) -> str:
    if not endpoint.needs_model or body is None:
        return ""
    model = body.text("model")
    if not model:
        raise RelayError(Problem.MISSING_PARAMETER, "You must provide a 'model'.", param="model")
    if not model.isprintable():  # no provider has such a name, and not every database can keep it
        raise RelayError(Problem.MODEL_NOT_FOUND, "The model's name has characters that no name has.", param="model")
    return model


def _streams(endpoint: Endpoint, body: Envelope | None, environ: dict[str, Any]) -> bool:
    if endpoint.name == "responses.retrieve":
        return ("stream", "true") in parse_qsl(environ.get("QUERY_STRING", ""))
    wanted = body.flag("stream") if body is not None else None
    return bool(wanted) and endpoint.kind is Kind.CREATE and endpoint.name != "responses.compact"


def _stores(endpoint: Endpoint, body: Envelope | None) -> bool:
    """Whether the answer shows objects that are kept upstream."""
    if endpoint.kind is Kind.OBJECT:
        return True
    wanted = body.flag("store") if body is not None else None
    return endpoint.object in STORED_BY_DEFAULT if wanted is None else wanted and endpoint.object is not None
