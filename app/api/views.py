"""One view for every relayed endpoint: a request becomes a call, a reply becomes a response."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from flask import Blueprint, Response, g, request

from app.api import Machinery, machinery
from app.api.door import Visit, admit
from app.api.reading import connection_of, read_body
from app.protocol.call import Call, Reply
from app.protocol.conversation import digest
from app.protocol.endpoints import ENDPOINTS, Endpoint, Kind, ObjectKind
from app.protocol.envelope import Envelope, parse
from app.protocol.errors import Problem, RelayError
from app.protocol.headers import IDEMPOTENCY_KEY, offered
from app.services.catalog import NAME_LONGEST
from app.settings import Settings

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
    names = parts.directory.snapshot.offered
    about = _About(endpoint, visit, object_id, item_id, offered(visit.environ, names) if names else (), started)
    try:
        body = _body(endpoint, visit, parts.settings) if endpoint.takes_body else None
        if parts.directory.snapshot is not visit.snapshot:  # the body may have taken its time
            admit(visit, parts)
        model = _model(endpoint, body)
        stream, stores = _streams(endpoint, body, visit.environ), _stores(endpoint, body)
    except RelayError as error:
        parts.relay.refuse(_call(about, None), error)
        raise
    return parts.relay.run(_call(about, body, model, stream=stream, stores=stores))


class _About(NamedTuple):
    """What is known of a call before its body is."""

    endpoint: Endpoint
    visit: Visit
    object_id: str
    item_id: str
    offered: tuple[tuple[str, str], ...]
    started: float


def _call(about: _About, body: Envelope | None, model: str = "", *, stream: bool = False, stores: bool = False) -> Call:
    endpoint, visit, object_id, item_id, extra, started = about
    assert visit.caller is not None  # noqa: S101 - admitted
    environ, asked = visit.environ, visit.asked
    headers = asked.headers
    if asked.idempotency_key:  # its own for each user: an upstream would answer another's with what this one was told
        own = digest(visit.caller, "idempotency", asked.idempotency_key.encode())
        headers = (*headers, (IDEMPOTENCY_KEY, own))
    return Call(
        id=visit.call_id,
        request_id=visit.request_id,
        endpoint=endpoint,
        caller=visit.caller,
        query=environ.get("QUERY_STRING", ""),
        headers=headers,
        offered=extra,
        object_id=object_id,
        item_id=item_id,
        body=body,
        model=model,
        stream=stream,
        stores=stores,
        traceparent=asked.traceparent,
        started=started,
        connection=connection_of(environ),
    )


def respond(reply: Reply) -> Response:
    """Return a reply as a response whose pieces are sent as they come."""
    length = [] if reply.length is None else [("content-length", str(reply.length))]
    return Response(reply.body, reply.status, headers=reply.headers + length, direct_passthrough=True)


def _body(endpoint: Endpoint, visit: Visit, settings: Settings) -> Envelope | None:
    """Return the body; an empty one is right for the POSTs that act on an object (cancel), and for nothing else."""
    if not visit.asked.brings_json:
        raise RelayError(Problem.UNSUPPORTED_MEDIA_TYPE, "Send a JSON body with Content-Type: application/json.")
    raw = read_body(visit.environ, settings)
    return parse(raw) if raw or endpoint.kind is not Kind.OBJECT else None


def _model(endpoint: Endpoint, body: Envelope | None) -> str:
    """Return the model's name, which every database can keep. Raises ``RelayError``."""
    if not endpoint.needs_model or body is None:
        return ""
    model = body.text("model")
    if not model:
        raise RelayError(Problem.MISSING_PARAMETER, "You must provide a 'model'.", param="model")
    if len(model) > NAME_LONGEST or not model.isprintable():  # no provider has such a name
        raise RelayError(Problem.MODEL_NOT_FOUND, "No model has a name like this one.", param="model")
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
