"""One view for every relayed endpoint: a request becomes a call, a reply becomes a response."""

from __future__ import annotations

import time
from functools import partial

from flask import Blueprint, Response, g, request

from app.api import machinery
from app.api.reading import read_body
from app.protocol.call import Call, Reply
from app.protocol.endpoints import ENDPOINTS, Endpoint, Kind, ObjectKind
from app.protocol.envelope import Envelope, parse
from app.protocol.errors import Problem, RelayError
from app.protocol.headers import to_upstream

STORED_BY_DEFAULT = frozenset({ObjectKind.RESPONSE, ObjectKind.CONVERSATION})


def add_rules(blueprint: Blueprint) -> None:
    """One rule for each row of ENDPOINTS."""
    for endpoint in ENDPOINTS:
        blueprint.add_url_rule(
            endpoint.path,
            endpoint.name.replace(".", "_"),
            partial(relay, endpoint),
            methods=[endpoint.method],
            provide_automatic_options=False,
        )


def relay(endpoint: Endpoint, object_id: str = "", item_id: str = "") -> Response:
    """Relay one call. Raises ``RelayError`` or ``ClientLeftError``."""
    if request.environ["REQUEST_METHOD"] == "HEAD":
        raise RelayError(Problem.METHOD_NOT_ALLOWED, "HEAD is not offered here; use GET.")
    return respond(machinery().relay.run(read(endpoint, object_id, item_id=item_id)))


def read(endpoint: Endpoint, object_id: str, *, item_id: str = "") -> Call:
    """Return the request as a call. Raises ``RelayError`` (400, 408, 413, 415)."""
    started = time.monotonic()
    body = _body(endpoint) if endpoint.takes_body else None
    environ = request.environ
    return Call(
        id=g.call_id,
        request_id=g.request_id,
        endpoint=endpoint,
        caller=g.caller,
        query=environ.get("QUERY_STRING", ""),
        headers=tuple(to_upstream(environ)),
        object_id=object_id,
        item_id=item_id,
        body=body,
        model=_model(endpoint, body),
        stream=_streams(endpoint, body),
        stores=_stores(endpoint, body),
        started=started,
        connection=environ.get("gunicorn.socket"),
    )


def respond(reply: Reply) -> Response:
    """Return a reply as a response whose pieces are sent as they come."""
    length = [] if reply.length is None else [("content-length", str(reply.length))]
    return Response(reply.body, reply.status, headers=reply.headers + length, direct_passthrough=True)


def _body(endpoint: Endpoint) -> Envelope | None:
    """Return the body; an empty one is right for the POSTs that act on an object (cancel), and for nothing else."""
    raw = read_body()
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


def _streams(endpoint: Endpoint, body: Envelope | None) -> bool:
    if endpoint.name == "responses.retrieve":
        return request.args.get("stream") == "true"
    wanted = body.flag("stream") if body is not None else None
    return bool(wanted) and endpoint.kind is Kind.CREATE and endpoint.name != "responses.compact"


def _stores(endpoint: Endpoint, body: Envelope | None) -> bool:
    """Whether the answer shows objects that are kept upstream."""
    if endpoint.kind is Kind.OBJECT:
        return True
    wanted = body.flag("store") if body is not None else None
    return endpoint.object in STORED_BY_DEFAULT if wanted is None else wanted and endpoint.object is not None
