"""Reads what an upstream says was used, into one normal form for all protocols.

OpenAI counts cached tokens inside its input, Anthropic beside it: the normal form keeps fresh input, cache reads and
cache writes apart. What can't be a token count (negative, absurdly large, not a whole number) is left out and flagged.

Others write OpenAI's object with differences of their own: DeepSeek names cache hits and misses, Moonshot puts
``cached_tokens`` outermost, xAI and Gemini leave reasoning out of the completion but not out of the total.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

from app.protocol import sse
from app.protocol.endpoints import Shape
from app.protocol.tally import anthropic, is_anthropic, openai

_USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')


class UsageState(StrEnum):
    """How much is known about a call's usage."""

    REPORTED = "reported"
    PARTIAL = "partial"
    """From a stream that was cut, or with numbers that can't be true."""
    ESTIMATED = "estimated"
    """Some count is our own guess, from the size of what went through."""
    UNKNOWN = "unknown"


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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
    audio_input: int | None = None
    """The part of ``input`` that was audio."""
    audio_output: int | None = None
    """The part of ``output`` that was audio."""
    web_searches: int | None = None
    """Searches that the provider made on its side."""
    service_tier: str = ""
    """The provider's word for how the call was served; empty for the usual way."""
    raw: Any = None

    @property
    def tokens(self) -> int:
        """All tokens, read and written, cached or not; what is unknown counts nothing."""
        read = (self.input or 0) + (self.cache_read or 0)
        return read + (self.cache_write_5m or 0) + (self.cache_write_1h or 0) + (self.output or 0)

    def at_least(self, *, input: int, output: int) -> Usage:  # noqa: A002 - its name in the normal form
        """Return this usage with guesses where the upstream told nothing, or less than has already come."""
        told = self.state is UsageState.PARTIAL and (self.output or 0) >= output
        if self.state is UsageState.REPORTED or told:
            return self
        changes = {"state": UsageState.ESTIMATED, "output": max(self.output or 0, output)}
        if self.input is None:
            changes["input"] = input
        return msgspec.structs.replace(self, **changes)


UNKNOWN = Usage()
BYTES_A_TOKEN = 4
USUAL_TIERS = frozenset({"", "auto", "default", "standard", "standard_only"})
TIER_MAX = 24


def tokens_of(size: int) -> int:
    """Return a guess at the tokens in so many bytes of a request."""
    return size // BYTES_A_TOKEN


def tier_of(told: Any) -> str:
    """Return a service tier worth telling: a short word, and not one of those for the usual way."""
    sound = isinstance(told, str) and told.isascii() and told.isprintable() and len(told) <= TIER_MAX
    return told if sound and told not in USUAL_TIERS else ""


def from_object(raw: Any, *, whole: bool = True, tier: Any = None) -> Usage:
    """Return the normal form of an upstream's usage object.

    ``whole`` tells that the answer came to its end; ``tier`` is the service tier where the answer names it beside the
    usage, as OpenAI does.
    """
    if not isinstance(raw, dict) or not raw:
        return UNKNOWN
    counts, sound = anthropic(raw) if is_anthropic(raw) else openai(raw)
    if counts.get("input") is None and counts.get("output") is None:
        return Usage(raw=raw)
    state = UsageState.REPORTED if whole and sound else UsageState.PARTIAL
    return Usage(state=state, service_tier=tier_of(raw.get("service_tier") or tier), raw=raw, **counts)


def from_events(head: bytes, tail: bytes, *, shape: Shape, whole: bool) -> Usage:
    """Return the usage of a stream from its first and its last events; the last to name a count wins."""
    begun, _ = _first_usage(_telling_events(head)) if shape is Shape.MESSAGES else ({}, None)
    ended, tier = _first_usage(_telling_events_from_the_end(tail))
    told = {name: count for name, count in ended.items() if count is not None}
    return from_object((begun | told) or ended, whole=whole, tier=tier)


def last_telling(block: bytes) -> bytes:
    """Return the last of a block's events that tells of usage, empty where none does."""
    return next((event for event in _telling_events_from_the_end(block) if _usage_of(sse.read(event).data)[0]), b"")


class _Body(msgspec.Struct):
    usage: Any = None
    service_tier: Any = None


class _Holder(_Body):
    response: _Body | None = None
    message: _Body | None = None


def _telling_events(block: bytes) -> Iterator[bytes]:
    """Yield the events that have a usage object; most chunks of a chat say only that theirs is null."""
    for match in _USAGE_OBJECT.finditer(block):
        start, end = sse.bounds(block, match.start())
        yield block[start:end]


def _telling_events_from_the_end(block: bytes) -> Iterator[bytes]:
    """The same, the last first: nothing before that is looked at."""
    at = len(block)
    while (at := block.rfind(b'"usage"', 0, at)) >= 0:
        if _USAGE_OBJECT.match(block, at):
            start, end = sse.bounds(block, at)
            yield block[start:end]


def _first_usage(events: Iterable[bytes]) -> tuple[dict[str, Any], Any]:
    """Return the first usage object of these events that isn't empty, and the service tier told beside it."""
    found = (_usage_of(sse.read(event).data) for event in events)
    return next((each for each in found if each[0]), ({}, None))


def _usage_of(data: bytes) -> tuple[dict[str, Any], Any]:
    try:
        holder = msgspec.json.decode(data, type=_Holder)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}, None
    for inner in (holder.response, holder.message, holder):
        if inner is not None and isinstance(inner.usage, dict):
            return inner.usage, inner.service_tier
    return {}, None
