"""Turns an open link into what the client gets: claim before reveal, settle before final."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from app.protocol import body as bodies
from app.protocol.call import Call, Reply
from app.protocol.endpoints import Kind
from app.protocol.errors import Problem, RelayError
from app.protocol.headers import to_client
from app.protocol.limit import BOUNDS
from app.protocol.record import End
from app.protocol.story import STORIES
from app.protocol.usage import Usage, from_object
from app.relay.late import STATUS, Late
from app.relay.link import Link
from app.relay.patience import Patience
from app.relay.ports import Ledger, Registry
from app.relay.stream import Stream
from app.relay.trace import Trace
from app.relay.watch import Live, Watch
from app.upstreams import UPSTREAMS

PIECE = 64 * 1024
NO_CONTENT = 204
"""What some servers answer to a delete."""
STREAM_HEADERS = [
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
]


class Tap:
    """Turns an open link into the client's reply."""

    def __init__(self, registry: Registry, ledger: Ledger, watch: Watch) -> None:
        self._registry = registry
        self._ledger = ledger
        self._watch = watch

    def reply(self, call: Call, link: Link, *, live: Live, trace: Trace) -> Reply:
        """Return the reply of a link; from then on the reply's body sees to the end of the call."""
        if link.status < 300 and call.stream:
            headers = [item for item in to_client(link.headers) if item[0] != "content-type"]
            return Reply(link.status, headers + STREAM_HEADERS, self._stream(call, link, live=live, trace=trace))
        try:
            body = self._whole(call, link, trace=trace)
        finally:
            link.close()
        headers = to_client(link.headers)
        if "content-type" not in dict(headers):
            headers.append(("content-type", "application/json"))
        return Reply(link.status, headers, Whole(body, live, self._watch), len(body))

    def late(self, call: Call, opening: Patience[Link], *, live: Live, trace: Trace) -> Reply:
        """Return the reply of a stream whose upstream keeps its client waiting."""
        stream_of = partial(self._stream, call, live=live, trace=trace)
        body = Late(call, opening, stream_of, live=live, trace=trace, watch=self._watch)
        return Reply(STATUS, list(STREAM_HEADERS), body)

    def listed(self, call: Call, page: bytes, *, live: Live) -> Reply:
        """Return the reply for a page that Realms made itself."""
        return Reply(200, [("content-type", "application/json")], Whole(page, live, self._watch), len(page))

    def _stream(self, call: Call, link: Link, *, live: Live, trace: Trace) -> Stream:
        call = _as_kept(call, link)
        renamed = call.model if link.model and link.model != call.model else ""
        hides_usage = UPSTREAMS[link.place.kind].hides_usage(call)
        story = STORIES[call.endpoint.shape](call, rename=renamed, hides_usage=hides_usage)
        if call.body is not None:
            call.body.forget(but=BOUNDS)  # should a limit be set meanwhile
        read = partial(self._read, call) if call.endpoint.name == "responses.retrieve" else None
        return Stream(call, link, story, registry=self._registry, watch=self._watch, live=live, trace=trace, read=read)

    # -- one JSON body ----------------------------------------------------------------------------------------------
    def _whole(self, call: Call, link: Link, *, trace: Trace) -> bytes:
        body = link.whole()
        if link.status >= 300:
            trace.settle(End.FAILED, status=link.status, reason=_reason(body))
            return body
        if link.status == NO_CONTENT and call.endpoint.method == "DELETE":
            return body
        told = link.told or bodies.read(body)
        if told is None:
            raise RelayError(Problem.UPSTREAM, "The upstream did not answer with a JSON object.")
        usage = from_object(told.usage, tier=told.service_tier)
        revealed = bodies.revealed(_as_kept(call, link), told)
        if revealed:
            self._claim(call, link, revealed, usage=usage, trace=trace)
        if link.model and call.model and isinstance(told.model, str) and told.model != call.model:
            body = bodies.with_model(body, call.model)
        if call.endpoint.name == "responses.retrieve" and told.status in bodies.TERMINAL:
            self._read(call, usage)
        trace.sent(body)
        trace.settle(_end_of(told), status=link.status, usage=usage)
        return body

    def _claim(self, call: Call, link: Link, revealed: bodies.Revealed, *, usage: Usage, trace: Trace) -> None:
        """Make the caller the owner of what an answer shows; one that can't be shown has been paid for all the same."""
        try:
            self._registry.claim(call, link.place, revealed)
        except RelayError as error:
            trace.settle(End.REFUSED, status=error.status(call.endpoint.protocol), usage=usage, reason=error.code)
            raise

    def _read(self, call: Call, usage: Usage) -> None:
        """An owner who reads a response that has come to its end brings its usage with it."""
        if usage.raw is not None:
            self._ledger.complete(call.caller, call.object_id, usage)


class Whole:
    """A body that is all there, given out in pieces; the watch over its call ends with it."""

    __slots__ = ("_body", "_live", "_watch")

    def __init__(self, body: bytes, live: Live, watch: Watch) -> None:
        self._body = body
        self._live = live
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        if len(self._body) > PIECE:
            return self._in_pieces()
        self._live.waits_for_client()
        return iter((self._body,))

    def _in_pieces(self) -> Iterator[bytes]:
        for at in range(0, len(self._body), PIECE):
            self._live.waits_for_client()
            yield self._body[at : at + PIECE]

    def close(self) -> None:
        """Called by the server, always."""
        self._watch.leave(self._live)


def _as_kept(call: Call, link: Link) -> Call:
    """Return a create as one that stores what its upstream says: nothing is owned where nothing is kept.

    What a kind of upstream never keeps is owned all the same: its owner is told so, and others that there is no such.
    """
    if not UPSTREAMS[link.place.kind].keeps_objects and call.endpoint.object is not None:
        return msgspec.structs.replace(call, stores=True)
    if not call.stores or link.place.policy.store or call.endpoint.kind is not Kind.CREATE:
        return call
    return msgspec.structs.replace(call, stores=False)


def _end_of(told: bodies.Told) -> End:
    return End.PENDING if told.status in bodies.PENDING else End.COMPLETED


def _reason(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body).get("error") or {}
        return str(error.get("code") or error.get("type") or "")
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
        return ""
