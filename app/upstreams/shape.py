"""Gives a request the shape that one upstream wants: its own name for the model first, then the operator's policy.

Each attempt begins with the caller's own body, so that one upstream's policy never shows at another. What nothing has
to be changed about keeps its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from app.protocol.call import Call, Target
from app.protocol.endpoints import Shape
from app.protocol.envelope import Envelope
from app.protocol.policy import USUAL, Policy

_EFFORT = re.compile(r"(.+)-(none|minimal|low|medium|high|xhigh)")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def shaped(body: Envelope, call: Call, target: Target) -> Envelope:
    """Return the body for a target."""
    policy = target.place.policy
    model = target.model or call.model
    if policy == USUAL:
        return body.with_members({"model": msgspec.json.encode(model)}) if model != call.model else body
    changes = {path: msgspec.json.encode(value) for path, value in policy.set.items()}
    drops = list(policy.drop)
    if not policy.store and call.endpoint.name == "responses.create":
        changes["store"] = b"false"  # it would store by itself
    elif not policy.store:
        drops.append("store")
    if policy.service_tiers is not None and body.get("service_tier") not in (None, *policy.service_tiers):
        drops.append("service_tier")
    effort = _EFFORT.fullmatch(model) if policy.effort_suffix else None
    if effort:
        model = effort[1]
        name = "reasoning.effort" if call.endpoint.shape is Shape.RESPONSES else "reasoning_effort"
        changes.setdefault(name, msgspec.json.encode(effort[2]))
    if model != call.model:
        changes["model"] = msgspec.json.encode(model)
    return _changed(body, changes, drops)


def headers_of(call: Call, policy: Policy) -> tuple[tuple[str, str], ...]:
    """Return the caller's headers that an upstream gets."""
    if not policy.allow_headers or not call.offered:
        return call.headers
    allowed = {name.lower() for name in policy.allow_headers}
    return (*call.headers, *((name, value) for name, value in call.offered if name in allowed))


def query_of(call: Call, policy: Policy) -> str:
    """Return the query of a request: the caller's, and the policy's."""
    return "&".join(part for part in (call.query, policy.query) if part)


def _changed(body: Envelope, changes: dict[str, bytes], drops: Iterable[str]) -> Envelope:
    tops: dict[str, bytes] = {}
    gone: set[str] = set()
    for path in drops:
        top, _, rest = path.partition(".")
        if not rest:
            gone.add(top)
        elif (raw := tops.get(top) or body.raw(top)) is not None:
            tops[top] = _without(raw, rest)
    for path, value in changes.items():
        top, _, rest = path.partition(".")
        tops[top] = _with(tops.get(top) or body.raw(top) or b"{}", rest, value) if rest else value
        gone.discard(top)
    gone &= {name for name in gone if name in body}
    return body.with_members(tops, without=gone) if tops or gone else body


def _without(raw: bytes, path: str) -> bytes:
    """Return an object without what a path names; anything else as it is."""
    members = _object(raw)
    top, _, rest = path.partition(".")
    if members is None or top not in members:
        return raw
    if rest:
        members[top] = msgspec.Raw(_without(bytes(members[top]), rest))
    else:
        del members[top]
    return msgspec.json.encode(members)


def _with(raw: bytes, path: str, value: bytes) -> bytes:
    """Return an object with a value where a path leads; what is in the way and no object gives way to one."""
    members = _object(raw) or {}
    top, _, rest = path.partition(".")
    inner = _with(bytes(members.get(top, b"{}")), rest, value) if rest else value
    members[top] = msgspec.Raw(inner)
    return msgspec.json.encode(members)


def _object(raw: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return _members.decode(raw)
    except _BROKEN:
        return None
