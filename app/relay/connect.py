"""Opens a call at an upstream: returns a link only when the answer may go on to the client."""

from __future__ import annotations

import time

import msgspec

from app.protocol.call import Call, Owned, Place, Target
from app.protocol.errors import Problem, RelayError, not_found
from app.relay.answer import Answer, BrokenAnswerError
from app.relay.egress import Egress, EgressError
from app.relay.trace import Trace
from app.relay.transport import RelayRequest
from app.relay.watch import Cut, Live
from app.relay.wire import WireError
from app.upstreams import UPSTREAMS
from app.upstreams.base import Outgoing, judge

ERROR_BODY_MAX = 1024 * 1024
ANSWER_MAX = 64 * 1024 * 1024
STREAM_READ = 24 * 1024
"""What is taken of a stream at once, in bytes: with the server's copy of it all that a standing reader costs us."""
EVENT_STREAM = "text/event-stream"


class ClientLeftError(Exception):
    """The client is gone; there is nobody to tell anything."""


class Limits(msgspec.Struct, frozen=True):
    """How long an upstream may take, in seconds."""

    first_byte_s: float
    idle_s: float


class Link:
    """An upstream's answer on its way to the client, its status judged good to pass on."""

    __slots__ = ("_answer", "_first", "_idle_s", "_live", "headers", "model", "place", "status")

    def __init__(self, answer: Answer, live: Live, *, idle_s: float, place: Place, model: str) -> None:
        self._answer = answer
        self._live = live
        self._idle_s = idle_s
        self._first = b""
        self.place = place
        self.model = model
        self.status = answer.status
        self.headers = answer.headers

    def read(self) -> bytes:
        """Return what has come, ``b""`` at the proper end. Raises ``RelayError`` or ``ClientLeftError``."""
        if self._first:
            first, self._first = self._first, b""
            return first
        self._live.waits_for_upstream(self._idle_s, Cut.IDLE)
        try:
            data = self._answer.read1()
        except (BrokenAnswerError, WireError) as error:
            raise cut_error(self._live, error) from error
        if self._live.cut is not None:
            raise cut_error(self._live, None)
        return data

    def put_back(self, data: bytes) -> None:
        """Let the next read return ``data``, which was read to be judged."""
        self._first = data

    @property
    def waited(self) -> bool:
        """Whether the last read had to wait, and so let others work."""
        return self._answer.waited

    def whole(self, limit: int = ANSWER_MAX) -> bytes:
        """Return the body to its end. Raises as ``read`` does, also past ``limit`` bytes."""
        pieces, size = [], 0
        while piece := self.read():
            size += len(piece)
            if size > limit:
                raise RelayError(Problem.UPSTREAM, "The upstream's answer is too large.")
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def is_stream(self) -> bool:
        """Whether the body is an event stream: by its type, or by its first bytes where it has none of the usual."""
        streams = self._looks_like_stream()
        if streams:
            self._answer.read_size = STREAM_READ
        return streams

    def _looks_like_stream(self) -> bool:
        kind = self._answer.header("content-type").partition(";")[0].strip().lower()
        if kind == EVENT_STREAM:
            return True
        if kind not in {"", "text/plain", "application/octet-stream"}:
            return False
        self._first = self.read()
        return self._first.lstrip(b"\xef\xbb\xbf\r\n").startswith((b"data:", b"event:", b":", b"id:", b"retry:"))

    def close(self) -> None:
        """Let go of the connection."""
        self._live.released()
        self._answer.close()


class Connector:
    """Makes attempts."""

    def __init__(self, egress: Egress, limits: Limits) -> None:
        self._egress = egress
        self._limits = limits

    def open(self, call: Call, target: Target, *, live: Live, trace: Trace) -> Link:
        """Open a create or tool call at a target. Raises ``RelayError`` or ``ClientLeftError``."""
        outgoing = UPSTREAMS[target.place.kind].prepare(call, target)
        return self._attempt(call, outgoing, place=target.place, model=target.model, live=live, trace=trace)

    def open_object(self, call: Call, owned: Owned, *, live: Live, trace: Trace) -> Link:
        """Open a call on a stored object, where it lives. Raises ``RelayError`` or ``ClientLeftError``."""
        outgoing = UPSTREAMS[owned.place.kind].prepare_object(call, owned)
        return self._attempt(call, outgoing, place=owned.place, model="", live=live, trace=trace)

    def _attempt(self, call: Call, outgoing: Outgoing, *, place: Place, model: str, live: Live, trace: Trace) -> Link:
        since = time.monotonic()
        status: int | None = None
        told = ""
        try:
            answer = self._send(outgoing, live)
            status = answer.status
            told = answer.header("x-request-id") or answer.header("request-id")
            link = Link(answer, live, idle_s=self._limits.idle_s, place=place, model=model)
            self._accept(call, link)
        except RelayError as error:
            trace.attempted(place, model=model, since=since, status=status, error=error.code, upstream_id=told)
            raise
        except ClientLeftError:
            trace.attempted(place, model=model, since=since, status=status, error=Cut.CLIENT_LEFT, upstream_id=told)
            raise
        trace.attempted(place, model=model, since=since, status=status, upstream_id=told)
        return link

    def _send(self, outgoing: Outgoing, live: Live) -> Answer:
        request = RelayRequest(outgoing.method, outgoing.url, headers=dict(outgoing.headers), body=outgoing.body)
        request.on_wire = live
        live.waits_for_upstream(self._limits.first_byte_s, Cut.FIRST_BYTE)
        try:
            return self._egress.adapter.answer(request)
        except EgressError as error:
            raise _unreached(error, live) from error
        except (BrokenAnswerError, WireError, OSError) as error:
            raise cut_error(live, error) from error

    def _accept(self, call: Call, link: Link) -> None:
        """Let a good answer pass, and an error about the caller's request; raise our own error for all others."""
        try:
            if link.status >= 300:
                self._judge(call, link)
            elif call.stream != link.is_stream():
                wanted = "an event stream" if call.stream else "one JSON body"
                raise RelayError(Problem.UPSTREAM, f"The upstream did not answer with {wanted}.")
        except BaseException:
            link.close()
            raise

    def _judge(self, call: Call, link: Link) -> None:
        body = b"" if link.status < 400 else link.whole(ERROR_BODY_MAX)
        error = judge(link.status, dict(link.headers), body, endpoint=call.endpoint)
        if error is None and not body.lstrip().startswith(b"{"):
            error = _wordless(call, link.status)
        if error is not None:
            raise error
        link.put_back(body)


def _wordless(call: Call, status: int) -> RelayError:
    """Return our words for a refusal that the provider put into none of its own."""
    if status == 404 and call.endpoint.object is not None and call.object_id:
        return not_found(call.endpoint.object, call.object_id)
    return RelayError(Problem.UPSTREAM, f"The upstream refused the request (status {status}).")


def cut_error(live: Live, error: Exception | None) -> RelayError | ClientLeftError:
    """Return what to raise for a broken wire: it was cut for a reason of ours, or the upstream broke it."""
    if live.cut in {Cut.CLIENT_LEFT, Cut.SLOW_READER}:
        return ClientLeftError()
    if live.cut is Cut.DRAIN:
        return RelayError(Problem.OVERLOADED, "Realms is being restarted; try again.", retry_after=1)
    if live.cut is Cut.FIRST_BYTE:
        return RelayError(Problem.TIMEOUT, "The upstream did not begin to answer in time.")
    if live.cut is Cut.IDLE:
        return RelayError(Problem.TIMEOUT, "The upstream fell silent.")
    if live.cut is Cut.TOTAL:
        return RelayError(Problem.TIMEOUT, "The call took longer than calls may take.")
    if isinstance(error, BrokenAnswerError):
        return RelayError(Problem.UPSTREAM, "The upstream's answer is broken or was cut before its end.")
    return RelayError(Problem.UPSTREAM, "The connection to the upstream broke.")


def _unreached(error: EgressError, live: Live) -> RelayError | ClientLeftError:
    if live.cut is not None:
        return cut_error(live, error)
    if error.phase == "connect" and "in time" in str(error):
        return RelayError(Problem.TIMEOUT, "The upstream could not be reached in time.")
    return RelayError(Problem.UPSTREAM, "The upstream could not be reached.")
