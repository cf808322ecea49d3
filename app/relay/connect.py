"""The attempt loop: tries one place after another until an answer may go on to the client, and never after that."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import NamedTuple

import gevent
import msgspec

from app.protocol.call import Call, Owned, Target
from app.protocol.conversation import Conversation
from app.protocol.errors import RelayError
from app.protocol.headers import TURN_STATE
from app.protocol.sealed import is_unreadable
from app.relay.attempt import AttemptError, Attempts
from app.relay.link import Link, cut_error
from app.relay.mend import Mender
from app.relay.ports import Accounts, Offer, Unread
from app.relay.trace import Trace
from app.relay.unseal import Unsealer
from app.relay.watch import Live
from app.upstreams.verdict import Scope, Verdict, code_of, error_of

PATIENCE_S = 0.25
"""How long a wait for a place lasts before the loop looks up whether the client has left."""
BACK_OFF_S = (0.05, 0.25)
_random = secrets.SystemRandom()


class _Asked(NamedTuple):
    """One call, and what goes with it through all its attempts."""

    call: Call
    conversation: Conversation
    offer: Offer
    live: Live
    trace: Trace


class Connector:
    """Opens calls."""

    def __init__(
        self, attempts: Attempts, accounts: Mapping[str, Accounts], unread: Unread, *, attempts_max: int
    ) -> None:
        self._attempts = attempts
        self._mender = Mender()
        self._unsealer = Unsealer(unread)
        self._accounts = accounts
        self._attempts_max = attempts_max

    def open(self, call: Call, conversation: Conversation, offer: Offer, *, live: Live, trace: Trace) -> Link:
        """Open a create or tool call at the best place that can serve it.

        Raises ``RelayError`` when none can, and ``ClientLeftError``.
        """
        failed: RelayError | None = None
        seen: set[int] = set()
        trace.left_out = offer.left_out()
        asked = _Asked(call, conversation, offer, live, trace)
        for n in range(1, self._attempts_max + 1):
            try:
                target = _next(offer, live)
            except RelayError as error:
                raise failed or error from None
            if target.place.upstream_id in seen:
                gevent.sleep(_random.uniform(*BACK_OFF_S))
            seen.add(target.place.upstream_id)
            try:
                return self._open_at(asked, target, last=n == self._attempts_max)
            except AttemptError as failure:
                failed = failure.told
            if not live.retries():
                raise cut_error(live, None)
        raise failed or AssertionError("no attempt is allowed")

    def open_object(self, call: Call, owned: Owned, *, live: Live, trace: Trace) -> Link:
        """Open a call on a stored object, where it lives. Raises ``RelayError`` or ``ClientLeftError``."""
        try:
            link = self._attempts.on_object(call, owned, live=live, trace=trace)
        except AttemptError as failure:
            raise failure.told from failure
        self._observe(Target(owned.place), link)
        return link

    def _open_at(self, asked: _Asked, target: Target, *, last: bool) -> Link:
        offer = asked.offer
        try:
            link = self._tried(asked, target, last=last)
        except AttemptError as failure:
            offer.failed(target, failure.verdict)
            raise
        except BaseException:
            offer.done(target)
            raise
        if link.status < 300 and not link.refusal:
            offer.opened(target, link.header(TURN_STATE))
        link.on_close = lambda: offer.done(target)
        return link

    def _tried(self, asked: _Asked, target: Target, *, last: bool) -> Link:
        """One attempt; a second one where what it was refused for can be mended."""
        call = asked.call
        if asked.conversation.sealed and (readable := self._unsealer.prepared(call, target)) is not None:
            call = readable
            asked.trace.left_without(target.place)
        call, target = self._mender.prepared(call, target)
        link = self._renewed(call, target, live=asked.live, trace=asked.trace)
        if not link.refusal:
            return link
        try:
            mended = self._mended(asked, call, target, refusal=link.refusal, last=last)
        except AttemptError:
            link.close()
            raise
        if mended is None:
            return link
        link.close()
        call, target, how = mended
        asked.trace.judged(f"mended_{how}")
        return self._renewed(call, target, live=asked.live, trace=asked.trace)

    def _mended(
        self, asked: _Asked, call: Call, target: Target, *, refusal: bytes, last: bool
    ) -> tuple[Call, Target, str] | None:
        """Return what to try once more there; None for a refusal that is the caller's. Raises ``AttemptError``."""
        error = error_of(refusal)
        message = str(error.get("message") or "")
        if not (asked.conversation.sealed and is_unreadable(call, code_of(error), message)):
            return self._mender.mended(call, target, refusal=refusal)
        elsewhere = not last and asked.offer.read_elsewhere()
        told = asked.offer.unreadable(target)
        if elsewhere or asked.conversation.compacted:
            asked.trace.judged("unreadable")
            raise AttemptError(Verdict(scope=Scope.NOTHING, reason="unreadable", told=told), told)
        readable = self._unsealer.unsealed(call, target)
        return None if readable is None else (readable, target, "unsealed")

    def _renewed(self, call: Call, target: Target, *, live: Live, trace: Trace) -> Link:
        """One attempt; a second one where the account's secret could be renewed in between."""
        try:
            link = self._attempts.at_target(call, target, live=live, trace=trace)
        except AttemptError as failure:
            accounts = self._accounts.get(target.place.kind)
            if accounts is None:
                raise
            accounts.observed(target.place, failure.headers)
            renewed = accounts.renew(target.place) if failure.verdict.outdated else None
            if renewed is None:
                failure.verdict = msgspec.structs.replace(failure.verdict, key_refused=_is_final(failure.verdict))
                raise
            target = msgspec.structs.replace(target, place=renewed)
            link = self._attempts.at_target(call, target, live=live, trace=trace)
        self._observe(target, link)
        return link

    def _observe(self, target: Target, link: Link) -> None:
        accounts = self._accounts.get(target.place.kind)
        if accounts is not None:
            accounts.observed(target.place, dict(link.headers))


def _is_final(verdict: Verdict) -> bool:
    """Whether a refusal that nothing was done about is the credential's own: an outdated one may be renewed later."""
    return verdict.key_refused and not verdict.outdated


def _next(offer: Offer, live: Live) -> Target:
    """Wait for a place; ends when the call does."""
    try:
        while (target := offer.next(PATIENCE_S)) is None:
            if live.cut is not None:
                raise cut_error(live, None)
    finally:
        offer.leave()
    return target
