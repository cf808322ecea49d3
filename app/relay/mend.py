"""What can be mended when an upstream refuses a request for how it was put: one more try there.

Two things: a member that Realms added, and a limit of tokens by a name that this model doesn't know. Both hold for the
model at that upstream, and are remembered for an hour. What only another account can read is ``unseal``'s.
"""

from __future__ import annotations

import re
import time

import msgspec

from app.protocol.call import Call, Target
from app.protocol.recent import Recent
from app.upstreams import UPSTREAMS
from app.upstreams.verdict import code_of, error_of

LESSON_S = 3600.0
LESSONS_MAX = 5_000
LIMITS = {
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
}
"""The names of the limit of tokens, each with the one that is tried where it isn't known."""
UNKNOWN = frozenset({"unsupported_parameter", "unknown_parameter"})
_INSTEAD = re.compile(r"[Uu]se '(max_(?:completion_|output_)?tokens)'")
_NAMED = re.compile(r"'(max_(?:completion_|output_)?tokens)'")


class Lesson(msgspec.Struct):
    """What one model at one upstream wants otherwise."""

    until: float
    names: dict[str, str] = msgspec.field(default_factory=dict)
    without: frozenset[str] = frozenset()


class Mender:
    """Remembers lessons, and draws new ones from refusals."""

    def __init__(self) -> None:
        self._lessons: Recent[tuple[int, str], Lesson] = Recent(LESSONS_MAX)

    def prepared(self, call: Call, target: Target) -> tuple[Call, Target]:
        """Return call and target as this place is known to want them."""
        lesson = self._lessons.get(_place(call, target)) if self._lessons else None
        if lesson is None or lesson.until < time.monotonic():
            return call, target
        return _renamed(call, lesson.names), msgspec.structs.replace(target, without=lesson.without)

    def mended(self, call: Call, target: Target, *, refusal: bytes) -> tuple[Call, Target, str] | None:
        """Return call and target for one more try there, and what was mended; None where nothing can be."""
        error = error_of(refusal)
        code, message = code_of(error), str(error.get("message") or "")
        name = _unknown_limit(error, code, message)
        if name and call.body is not None and name in call.body:
            match = _INSTEAD.search(message)
            names = {name: match[1] if match else LIMITS[name]}
            self._learn(call, target).names |= names
            return _renamed(call, names), target, "renamed"
        added = [each for each in UPSTREAMS[target.place.kind].added(call, target) if each.encode() in refusal]
        if added:
            lesson = self._learn(call, target)
            lesson.without |= frozenset(added)
            return call, msgspec.structs.replace(target, without=lesson.without), "left_out"
        return None

    def _learn(self, call: Call, target: Target) -> Lesson:
        key = _place(call, target)
        old = self._lessons.get(key)
        until = time.monotonic() + LESSON_S
        lesson = Lesson(until, old.names, old.without) if old else Lesson(until)
        self._lessons.keep(key, lesson)
        return lesson


def _place(call: Call, target: Target) -> tuple[int, str]:
    return target.place.upstream_id, target.model or call.model


def _unknown_limit(error: dict[str, object], code: str, message: str) -> str:
    """Return the limit's name that an error code says isn't known, empty where none does."""
    if code not in UNKNOWN:
        return ""
    param = error.get("param")
    if isinstance(param, str) and param in LIMITS:
        return param
    match = _NAMED.search(message)
    return match[1] if match else ""


def _renamed(call: Call, names: dict[str, str]) -> Call:
    """Return the call with members under other names; one that is there under the other name already stays."""
    body = call.body
    if body is None:
        return call
    wanted = {name: other for name, other in names.items() if name in body and other not in body}
    if not wanted:
        return call
    changes = {other: body.raw(name) or b"null" for name, other in wanted.items()}
    return msgspec.structs.replace(call, body=body.with_members(changes, without=wanted))
