"""One call of one upstream with one credential: returns a link only when the answer may go on to the client.

What may go on: a stream whose opening events have shown no error, a plain body that came whole, and the upstream's own
words about the caller's own mistake. Everything else is a failed attempt, with a verdict.
"""

from __future__ import annotations

import time

import gevent
import msgspec
import structlog

from app.protocol import body as bodies
from app.protocol.call import Call, Owned, Place, Target
from app.protocol.endpoints import Kind
from app.protocol.errors import Problem, RelayError, not_found
from app.protocol.gather import Gathering
from app.protocol.opening import HiddenError, Opening, hidden_error
from app.protocol.sse import EventTooLargeError, Splitter
from app.relay.answer import Answer, BrokenAnswerError
from app.relay.egress import Egress, EgressError
from app.relay.link import ClientLeftError, Link, cut_error
from app.relay.trace import Trace
from app.relay.transport import RelayRequest
from app.relay.watch import Cut, Live
from app.relay.wire import WireError
from app.upstreams import UPSTREAMS
from app.upstreams.base import Outgoing
from app.upstreams.verdict import Scope, Verdict, upstream_failed

log = structlog.get_logger()

ERROR_BODY_MAX = 1024 * 1024
OPENING_MAX = 1024 * 1024
"""Opening events repeat what was asked for, so they can be long; beyond this they aren't held any longer."""


class Limits(msgspec.Struct, frozen=True):
    """How long an upstream may take, in seconds."""

    first_byte_s: float
    idle_s: float
    opening_s: float = 0.25
    """How long opening events are held for an error to come, counted from the first of them."""


class AttemptError(Exception):
    """An attempt that another place may do better; ``headers`` are those of the answer, if one came.

    ``sent`` tells whether anything of the request may have reached the upstream.
    """

    sent = True

    def __init__(self, verdict: Verdict, told: RelayError) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict
        self.told = told
        self.headers: dict[str, str] = {}


class Attempts:
    """Makes attempts."""

    def __init__(self, egress: Egress, limits: Limits) -> None:
        self._egress = egress
        self._limits = limits

    def at_target(self, call: Call, target: Target, *, live: Live, trace: Trace) -> Link:
        """Return the link of a create or tool call. Raises ``AttemptError``, ``RelayError`` or ``ClientLeftError``."""
        try:
            outgoing = UPSTREAMS[target.place.kind].prepare(call, target)
        except RelayError as error:
            if error.problem is not Problem.UNSUPPORTED:
                raise
            raise _skipped("unsupported", error) from error
        return self._attempt(call, outgoing, place=target.place, model=target.model, live=live, trace=trace)

    def on_object(self, call: Call, owned: Owned, *, live: Live, trace: Trace) -> Link:
        """Return the link of a call on a stored object, where it lives. Raises as ``at_target`` does."""
        outgoing = UPSTREAMS[owned.place.kind].prepare_object(call, owned)
        return self._attempt(call, outgoing, place=owned.place, model="", live=live, trace=trace)

    def _attempt(self, call: Call, outgoing: Outgoing, *, place: Place, model: str, live: Live, trace: Trace) -> Link:
        since = time.monotonic()
        status: int | None = None
        told = error = ""
        sent = True
        trace.place = place
        try:
            answer = self._send(outgoing, live, place)
            status = answer.status
            told = answer.header("x-request-id") or answer.header("request-id")
            idle_s = place.policy.idle_s or self._limits.idle_s
            link = Link(answer, live, idle_s=idle_s, place=place, model=model)
            self._accept(call, link, live)
        except AttemptError as failure:
            error, sent = failure.verdict.reason, failure.sent
            raise
        except RelayError as failure:
            error = failure.code
            raise
        except ClientLeftError:
            error = Cut.CLIENT_LEFT
            raise
        finally:
            trace.attempted(place, model=model, since=since, status=status, sent=sent, error=error, upstream_id=told)
        return link

    def _send(self, outgoing: Outgoing, live: Live, place: Place) -> Answer:
        headers = dict(outgoing.headers)
        request = RelayRequest(outgoing.method, outgoing.url, headers=headers, body=outgoing.body, proxy=place.proxy)
        request.connect_s = place.policy.connect_s
        request.on_wire = live
        live.attempts(place.policy.total_s)
        live.waits_for_upstream(place.policy.first_byte_s or self._limits.first_byte_s, Cut.FIRST_BYTE)
        try:
            return self._egress.adapter.answer(request)
        except EgressError as error:
            if live.cut is not None:
                raise _broken(live, cut_error(live, error)) from error
            failure = _no_way(place, error) if error.phase.startswith("proxy") else _unreached(error)
            failure.sent = False
            raise failure from error
        except (BrokenAnswerError, WireError, OSError) as error:
            raise _broken(live, cut_error(live, error)) from error

    def _accept(self, call: Call, link: Link, live: Live) -> None:
        """Let a good answer pass, and one about the caller's request."""
        try:
            if link.status >= 300:
                self._judge_refusal(call, link)
            else:
                hidden = self._judge_answer(call, link)
                if hidden is not None:
                    _judge(call, link, status=hidden.status, body=hidden.body)
        except (RelayError, ClientLeftError) as error:
            link.close()
            raise _broken(live, error) from error
        except BaseException:
            link.close()
            raise

    def _judge_answer(self, call: Call, link: Link) -> HiddenError | None:
        """Read as much of a good answer as shows that it is one; return the error that hides in it."""
        in_events = UPSTREAMS[link.place.kind].answers_in_events
        streams = link.is_stream(under_any_type=in_events)
        if call.stream is not streams and not (streams and in_events):
            wanted = "an event stream" if call.stream else "one JSON body"
            raise _failed(upstream_failed("wrong_type", f"The upstream did not answer with {wanted}."))
        if call.endpoint.kind is Kind.OBJECT:
            return None
        if call.stream:
            return self._hold(call, link)
        return _gather(link) if streams else _read_whole(link)

    def _judge_refusal(self, call: Call, link: Link) -> None:
        body = b"" if link.status < 400 else link.whole(ERROR_BODY_MAX)
        if link.status == 404 and call.object_id and call.endpoint.object and not body.lstrip().startswith(b"{"):
            error = not_found(call.endpoint.object, call.object_id)  # our words: the provider put it into none
            raise AttemptError(Verdict(scope=Scope.NOTHING, reason="not_found", told=error), error)
        _judge(call, link, status=link.status, body=body)

    def _hold(self, call: Call, link: Link) -> HiddenError | None:
        """Hold a stream's opening events until its content begins or they were held long enough."""
        opening, splitter, held, size = Opening(call.endpoint.shape), Splitter(), [], 0
        until = 0.0
        while size < OPENING_MAX:
            data = link.read() if not until else _read_until(link, until)
            if data is None:
                break
            if not data:
                if splitter.rest and opening.over(splitter.rest + b"\n\n"):
                    break
                raise _failed(upstream_failed("ended_early", "The upstream ended the stream before its end."))
            held.append(data)
            size += len(data)
            block = _whole_events(splitter, data)
            if block and opening.over(block):
                break
            if block and not until:
                until = time.monotonic() + self._limits.opening_s
        link.put_back(held[0] if len(held) == 1 else b"".join(held))
        return opening.error


def _whole_events(splitter: Splitter, data: bytes) -> bytes:
    try:
        return splitter.feed(data)
    except EventTooLargeError:
        raise _failed(upstream_failed("event_too_large", "The upstream sent an event over 16 MiB.")) from None


def _read_until(link: Link, moment: float) -> bytes | None:
    """Return what comes until a moment, None when that is nothing."""
    left = moment - time.monotonic()
    if left <= 0:
        return None
    late = gevent.Timeout(left)
    try:
        with late:
            return link.read()
    except gevent.Timeout as timeout:
        if timeout is not late:
            raise
        return None
    finally:
        del late  # it holds this frame, and with it all of the call, until somebody collects garbage


def _gather(link: Link) -> HiddenError | None:
    """Read a stream to its terminal event, for a caller who wants its outcome in one body."""
    gathering, splitter = Gathering(), Splitter()
    ended = False
    while not ended:
        data = link.read()
        ended = gathering.take(_whole_events(splitter, data) if data else splitter.rest + b"\n\n")
        if not data and not ended:
            raise _failed(upstream_failed("ended_early", "The upstream ended the stream before its end."))
    if gathering.body is not None:
        link.told = bodies.read(gathering.body)
        link.stand_in(gathering.body)
    return gathering.error


def _read_whole(link: Link) -> HiddenError | None:
    """Read a plain body to its end, so that one that breaks can still be asked for elsewhere."""
    body = link.whole()
    told = bodies.read(body)
    if told is None:
        raise _failed(upstream_failed("broken_body", "The upstream did not answer with a JSON object."))
    link.told = told
    return hidden_error(told.error) if isinstance(told.error, dict) and told.id is None else None


def _judge(call: Call, link: Link, *, status: int, body: bytes) -> None:
    """Raise what an answer means, unless it is for the caller as it stands."""
    verdict = UPSTREAMS[link.place.kind].judge(status, dict(link.headers), body, call=call)
    if verdict is not None and verdict.scope is not Scope.REQUEST:
        failure = _failed(verdict)
        failure.headers = dict(link.headers)
        raise failure
    link.refusal = body


def _failed(verdict: Verdict) -> AttemptError:
    told = verdict.told or RelayError(Problem.UPSTREAM, "The upstream failed.")
    return AttemptError(verdict, told)


def _skipped(reason: str, error: RelayError) -> AttemptError:
    return AttemptError(Verdict(scope=Scope.NOTHING, reason=reason, told=error), error)


def _broken(live: Live, error: RelayError | ClientLeftError) -> Exception:
    """Return what a broken wire means: the upstream's failure, or the end of the call whoever serves it."""
    if isinstance(error, ClientLeftError) or live.cut in {Cut.DRAIN, Cut.TOTAL, Cut.STOPPED}:
        return error
    reason = live.cut.value if live.cut is not None else "broken"
    return AttemptError(Verdict(scope=Scope.UPSTREAM, reason=reason, told=error), error)


def _unreached(error: EgressError) -> AttemptError:
    if error.phase == "address":  # a matter of our own settings
        log.warning("egress_refused", reason=str(error))
        return _skipped("address_refused", RelayError(Problem.UPSTREAM, "The upstream could not be reached."))
    if error.phase == "connect" and "in time" in str(error):
        late = "The upstream could not be reached in time."
        return _failed(upstream_failed("connect_timeout", late, problem=Problem.TIMEOUT))
    refused = error.phase == "refused"
    return _failed(upstream_failed(error.phase, "The upstream could not be reached.", at_once=refused))


def _no_way(place: Place, error: EgressError) -> AttemptError:
    """Return what it means that a proxy gave no way; which one and why is for the operator alone."""
    log.warning("proxy_gave_no_way", upstream=place.upstream_id, reason=error.phase, error=str(error))
    problem = Problem.TIMEOUT if error.phase == "proxy_timeout" else Problem.UPSTREAM
    at_once = error.phase in {"proxy_unreachable", "proxy_login"}
    return _failed(upstream_failed(error.phase, "The upstream could not be reached.", problem=problem, at_once=at_once))
