"""Realms without some of its parts (``BENCH_WITHOUT``, with commas), to tell what each costs.

For a benchmark alone: nobody else could want it, and there is no other switch, on purpose.
"""

from wsgi import app  # noqa: I001 - it patches what everything else imports

import os
from collections.abc import Callable
from typing import Any

from app.protocol.call import Call, Caller, Target
from app.protocol.conversation import Conversation
from app.protocol.record import Record
from app.services.limits import NO_LIMITS

_parts = app.extensions["realms.api"]
_relay: Any = _parts.relay


class _Nothing:
    """Admits everything and keeps nothing."""

    def acquire(self, *_: object) -> object:
        return NO_LIMITS

    def admit(self, *_: object) -> None:
        pass

    open = settle = complete = claim = acquire


class _Forgetful(_Nothing):
    """A ledger that keeps nothing, but gives back what a call has reserved."""

    def settle(self, record: Record) -> None:
        _relay._limits.settle(record)  # noqa: SLF001


class _Fixed:
    """An offer of one target, whatever becomes of it."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def next(self, _: float) -> Target:
        return self._target

    def left_out(self, *_: object) -> None:
        pass

    leave = opened = done = failed = left_out


def _without_authentication() -> None:
    really, known = _parts.callers.authenticate, []

    def authenticate(*words: str, **more: str) -> Caller:
        if not known:
            known.append(really(*words, **more))
        return known[0]

    _parts.callers.authenticate = authenticate


def _without_routing() -> None:
    really, known = _relay._router.offer, {}  # noqa: SLF001

    def offer(call: Call, conversation: Conversation, **more: Any) -> _Fixed:
        if call.model not in known:
            known[call.model] = _Fixed(really(call, conversation, **more).next(0))
        return known[call.model]

    _relay._router.offer = offer  # noqa: SLF001


def _without_limits() -> None:
    _relay._limits = _Nothing()  # noqa: SLF001


def _without_records() -> None:
    _relay._ledger = _relay._tap._ledger = _Forgetful()  # noqa: SLF001


def _without_claims() -> None:
    _relay._registry.claim = _relay._registry.admit = _Nothing().admit  # noqa: SLF001


PARTS: dict[str, Callable[[], None]] = {
    "authentication": _without_authentication,
    "routing": _without_routing,
    "limits": _without_limits,
    "records": _without_records,
    "claims": _without_claims,
}
for part in filter(None, os.environ.get("BENCH_WITHOUT", "").split(",")):
    PARTS[part]()

__all__ = ["app"]
