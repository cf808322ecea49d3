"""Reads what an upstream says was used, into one normal form for all protocols.

OpenAI counts cached tokens inside its input, Anthropic beside it: the normal form keeps fresh input, cache reads and
cache writes apart. What can't be a token count (negative, absurdly large, not a whole number) is left out and flagged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

from app.protocol import sse
from app.protocol.endpoints import Shape

TOKENS_MAX = 1_000_000_000
"""More tokens than any call can use; a larger number is the upstream's mistake."""


USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')


class UsageState(StrEnum):
    """How much is known about a call's usage."""

    REPORTED = "reported"
    PARTIAL = "partial"
    """From a stream that was cut, or with numbers that can't be true."""
    UNKNOWN = "unknown"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts in normal form; None is unknown, not zero. ``raw`` is the upstream's own object."""

    state: UsageState = UsageState.UNKNOWN
    input: int | None = None
    """Fresh input, without what was read from or written to a cache."""
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    """The part of ``output`` that was reasoning."""
    raw: Any = None


UNKNOWN = Usage()


def from_object(raw: Any, *, whole: bool = True) -> Usage:
    """Return the normal form of an upstream's usage object; ``whole`` tells that the answer came to its end."""
    if not isinstance(raw, dict) or not raw:
        return UNKNOWN
    counts, sound = _anthropic(raw) if _is_anthropic(raw) else _openai(raw)
    if counts.get("input") is None and counts.get("output") is None:
        return Usage(raw=raw)
    state = UsageState.REPORTED if whole and sound else UsageState.PARTIAL
    return Usage(state=state, raw=raw, **counts)


def from_events(head: bytes, tail: bytes, *, shape: Shape, whole: bool) -> Usage:
    """Return the usage of a stream from its first and its last events; the last to name a count wins."""
    begun = _first_usage(_telling_events(head)) if shape is Shape.MESSAGES else {}
    ended = _first_usage(reversed(list(_telling_events(tail))))
    told = {name: count for name, count in ended.items() if count is not None}
    return from_object((begun | told) or ended, whole=whole)


class _Body(msgspec.Struct):
    usage: Any = None


class _Holder(msgspec.Struct):
    usage: Any = None
    response: _Body | None = None
    message: _Body | None = None


def _telling_events(block: bytes) -> Iterator[bytes]:
    """Yield the events that have a usage object; most chunks of a chat say only that theirs is null."""
    for match in USAGE_OBJECT.finditer(block):
        start, end = sse.bounds(block, match.start())
        yield block[start:end]


def _first_usage(events: Iterable[bytes]) -> dict[str, Any]:
    return next(filter(None, (_usage_of(sse.read(event).data) for event in events)), {})


def _usage_of(data: bytes) -> dict[str, Any]:
    try:
        holder = msgspec.json.decode(data, type=_Holder)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return {}
    for inner in (holder.response, holder.message, holder):
        if inner is not None and isinstance(inner.usage, dict):
            return inner.usage
    return {}


def _is_anthropic(raw: dict[str, Any]) -> bool:
    return "cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw or "cache_creation" in raw


def _openai(raw: dict[str, Any]) -> tuple[dict[str, int | None], bool]:
    """Responses and Chat Completions name the same things differently."""
    check = _Check()
    total = check.count(raw, "input_tokens", "prompt_tokens")
    cached = check.count(_part(raw, "input_tokens_details", "prompt_tokens_details"), "cached_tokens")
    if total is not None and cached is not None and cached > total:
        check.sound, cached = False, total
    fresh = None if total is None else total - (cached or 0)
    output = check.count(raw, "output_tokens", "completion_tokens")
    thought = check.count(_part(raw, "output_tokens_details", "completion_tokens_details"), "reasoning_tokens")
    return {"input": fresh, "cache_read": cached, "output": output, "reasoning": thought}, check.sound


def _anthropic(raw: dict[str, Any]) -> tuple[dict[str, int | None], bool]:
    check = _Check()
    written = check.count(raw, "cache_creation_input_tokens")
    hour = check.count(_part(raw, "cache_creation"), "ephemeral_1h_input_tokens")
    if written is not None and hour is not None and hour > written:
        check.sound, hour = False, written
    counts = {
        "input": check.count(raw, "input_tokens"),
        "cache_read": check.count(raw, "cache_read_input_tokens"),
        "cache_write_5m": None if written is None else written - (hour or 0),
        "cache_write_1h": hour,
        "output": check.count(raw, "output_tokens"),
    }
    return counts, check.sound


def _part(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        if isinstance(raw.get(name), dict):
            return dict(raw[name])
    return {}


class _Check:
    """Takes counts out of an object and remembers whether all of them could be true."""

    def __init__(self) -> None:
        self.sound = True

    def count(self, raw: dict[str, Any], *names: str) -> int | None:
        for name in names:
            value = raw.get(name)
            if value is None:
                continue
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= TOKENS_MAX:
                return value
            self.sound = False
        return None
