"""The provider itself: finds the endpoint of a request, checks its key, plans and begins the answer."""

import re
import urllib.parse
from typing import Any

import msgspec

from simulator import (
    chat,
    chat_stored,
    codex,
    compression,
    conversations,
    faults,
    keys,
    messages,
    models,
    oauth,
    responses,
    responses_stored,
)
from simulator.answer import Answer, json_answer
from simulator.call import Call
from simulator.control import PREFIX, control
from simulator.errors import CHAT, MESSAGES, PLAIN, RESPONSES, ApiError, Dialect, by_status, error_answer
from simulator.exchange import Exchange
from simulator.http import Connection, Request
from simulator.options import BadOptionsError
from simulator.plan import Plan
from simulator.records import Record
from simulator.store import Account
from simulator.world import World

ROUTES = (
    responses.ROUTES
    | responses_stored.ROUTES
    | conversations.ROUTES
    | chat.ROUTES
    | chat_stored.ROUTES
    | messages.ROUTES
    | models.ROUTES
)
PLACE = re.compile(
    r"(?P<prefix>(?:/[^/]*)*?)/(?P<root>responses|conversations|chat/completions|messages|models)(?P<rest>/.*)?"
)
DIALECTS = {"responses": RESPONSES, "chat/completions": CHAT, "messages": MESSAGES}
CODEX = "/backend-api/codex"
WITHOUT_BODY: dict[str, Any] = {}


class Place(msgspec.Struct):
    """Where a path leads."""

    prefix: str
    root: str
    segments: list[str]
    dialect: Dialect

    def pattern(self) -> str:
        """The path as the table of routes names it, ids as stars."""
        return self.root + "".join("/" + (name if n % 2 else "*") for n, name in enumerate(self.segments))


def place_of(path: str) -> Place | None:
    found = PLACE.fullmatch(path)
    if found is None:
        return None
    prefix, root, rest = found["prefix"], found["root"], found["rest"]
    segments = [urllib.parse.unquote(part) for part in rest[1:].split("/")] if rest else []
    if root == "models" and segments:
        segments = ["/".join(segments)]
    return Place(prefix, root, segments, DIALECTS.get(root, PLAIN))


class Provider:
    def __init__(self, world: World) -> None:
        self._world = world

    def connection(self) -> Connection:
        return Connection(self.serve, self._world.connections)

    def serve(self, conn: Connection, request: Request) -> None:
        if request.path.startswith(PREFIX):
            answer = control(self._world, request)
            data = b"%bcontent-length: %d\r\n\r\n%b" % (answer.head(), len(answer.body), answer.body)
            conn.write(data)
            conn.release(keep_alive=request.keep_alive)
            return
        record = self._world.records.open(request)
        plan = Plan()
        answer = self._answer(request, record, plan)
        self._world.records.settle(record)
        Exchange(conn, request, record, plan).begin(answer)

    def _answer(self, request: Request, record: Record, plan: Plan) -> Answer:
        place = place_of(request.path)
        if place is not None:
            plan.dialect = place.dialect
            if place.root == "models" and request.header("anthropic-version") is not None:
                plan.dialect = MESSAGES
        record.key = keys.key_of(request)
        try:
            body = _body(request)
            self._plan(request, record, plan, body)
            if plan.options.status:
                return _refused(plan)
            _check_members(plan.options.rejects, body)
            return self._endpoint(request, record, plan, place, body)
        except ApiError as error:
            return error_answer(plan.dialect, error)
        except oauth.OAuthError as error:
            return error.answer
        except BadOptionsError as error:
            return error_answer(plan.dialect, ApiError(400, str(error), code="simulator_option"))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            # A member of the body has a shape that no endpoint expects.
            return error_answer(plan.dialect, ApiError(400, f"simulator: cannot read this request: {error!r}"))

    def _plan(self, request: Request, record: Record, plan: Plan, body: dict[str, Any]) -> None:
        model = body.get("model")
        record.model = model if isinstance(model, str) else None
        plan.options = options = self._world.options(record.model, request.path)
        plan.special = bool(options.gap or options.ttfb or options.first)
        for fault in options.faults:
            faults.apply(plan, fault)

    def _endpoint(
        self, request: Request, record: Record, plan: Plan, place: Place | None, body: dict[str, Any]
    ) -> Answer:
        world = self._world
        if request.path == "/oauth/authorize":
            return oauth.authorize(world.codex, request)
        if request.path == "/oauth/token":
            return oauth.token(world.codex, request)
        if request.path.endswith(("/wham/usage", "/api/codex/usage")):
            return codex.usage(codex.signed_in(world.codex, request, record.key))
        if place is None:
            raise ApiError(404, f"Invalid URL ({request.method} {request.path})")
        if place.prefix.endswith(CODEX):
            return self._codex(request, record, plan, place, body)
        account = world.store.account(keys.check(record.key, plan.dialect))
        return _routed(Call(world, request, account, plan, place.segments, body), place)

    def _codex(self, request: Request, record: Record, plan: Plan, place: Place, body: dict[str, Any]) -> Answer:
        owner = codex.signed_in(self._world.codex, request, record.key)
        call = Call(self._world, request, Account(owner.id), plan, place.segments, body)
        pattern = f"{request.method} {place.root}/{'/'.join(place.segments)}".rstrip("/")
        if pattern == "POST responses":
            return codex.create(call, owner)
        if pattern == "POST responses/compact":
            return codex.compact(call, owner)
        return json_answer({"detail": "Not Found"}, 404)


def _routed(call: Call, place: Place) -> Answer:
    method = call.request.method
    literal = "/".join([place.root, *place.segments])
    endpoint = ROUTES.get(f"{method} {literal}") or ROUTES.get(f"{method} {place.pattern()}")
    if endpoint is not None:
        return endpoint(call)
    if method == "GET" and call.request.header("upgrade") == "websocket":
        raise ApiError(426, "This endpoint does not speak WebSocket.", headers=b"upgrade: HTTP/1.1\r\n")
    raise ApiError(405, f"Not allowed to {method} on {call.request.path}.", code="method_not_allowed")


def _body(request: Request) -> dict[str, Any]:
    """The JSON body, if it is one; other methods and forms have none."""
    if not request.body or not request.body.lstrip().startswith((b"{", b"[", b"\x1f\x8b")):
        return WITHOUT_BODY
    data = request.body
    if request.header("content-encoding") == "gzip":
        data = compression.unpack(data)
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ApiError(
            400,
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
            f"library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON: {error})",
        ) from error


def _check_members(rejected: str, body: dict[str, Any]) -> None:
    if rejected and rejected in body:
        message = f"Unsupported parameter: '{rejected}' is not supported with this model."
        raise ApiError(400, message, code="unsupported_parameter", kind="invalid_request_error", param=rejected)


def _refused(plan: Plan) -> Answer:
    """The answer of the option `status`."""
    options = plan.options
    error = by_status(options.status, code=options.code, kind=options.type)
    if options.retry_after is not None:
        error.headers = b"retry-after: %b\r\n" % options.retry_after.encode()
    return error_answer(plan.dialect, error)
