"""Opens a call at an upstream: returns a link only when the answer may go on to the client."""

from __future__ import annotations

import time

import msgspec

from app.protocol.call import Call, Owned, Place, Target
from app.protocol.errors import Problem, RelayError, not_found
from app.relay.answer import Answer, BrokenAnswerError
from app.relay.egress import Egress, EgressError
from app.relay.link import ClientLeftError, Link, cut_error
from app.relay.trace import Trace
from app.relay.transport import RelayRequest
from app.relay.watch import Cut, Live
from app.relay.wire import WireError
from app.upstreams import UPSTREAMS
from app.upstreams.base import Outgoing, judge

ERROR_BODY_MAX = 1024 * 1024


class Limits(msgspec.Struct, frozen=True):
    """How long an upstream may take, in seconds."""

    first_byte_s: float
    idle_s: float


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


def _unreached(error: EgressError, live: Live) -> RelayError | ClientLeftError:
    if live.cut is not None:
        return cut_error(live, error)
    if error.phase == "connect" and "in time" in str(error):
        return RelayError(Problem.TIMEOUT, "The upstream could not be reached in time.")
    return RelayError(Problem.UPSTREAM, "The upstream could not be reached.")
