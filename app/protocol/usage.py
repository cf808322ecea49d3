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

TOKENS_MAX = 1_000_000_000
"""More tokens than any call can use; a larger number is the upstream's mistake."""


USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')


class UsageState(StrEnum):
    """How much is known about a call's usage."""

    REPORTED = "reported"
    PARTIAL = "partial"
    """From a stream that was cut, or with numbers that can't be true."""
    ESTIMATED = "estimated"
    """Some count is our own guess, from the size of what went through."""
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
    counts, sound = _anthropic(raw) if _is_anthropic(raw) else _openai(raw)
    if counts.get("input") is None and counts.get("output") is None:
        return Usage(raw=raw)
    state = UsageState.REPORTED if whole and sound else UsageState.PARTIAL
    return Usage(state=state, service_tier=tier_of(raw.get("service_tier") or tier), raw=raw, **counts)


def from_events(head: bytes, tail: bytes, *, shape: Shape, whole: bool) -> Usage:
    """Return the usage of a stream from its first and its last events; the last to name a count wins."""
    begun, _ = _first_usage(_telling_events(head)) if shape is Shape.MESSAGES else ({}, None)
    ended, tier = _first_usage(reversed(list(_telling_events(tail))))
    told = {name: count for name, count in ended.items() if count is not None}
    return from_object((begun | told) or ended, whole=whole, tier=tier)


class _Body(msgspec.Struct):
    usage: Any = None
    service_tier: Any = None


class _Holder(_Body):
    response: _Body | None = None
    message: _Body | None = None


def _telling_events(block: bytes) -> Iterator[bytes]:
    """Yield the events that have a usage object; most chunks of a chat say only that theirs is null."""
    for match in USAGE_OBJECT.finditer(block):
        start, end = sse.bounds(block, match.start())
        yield block[start:end]


def _first_usage(events: Iterable[bytes]) -> tuple[dict[str, Any], Any]:
    """Return the first usage object of these events that isn't empty, and the service tier told beside it."""
    found = (_usage_of(sse.read(event).data) for event in events)
    return next((each for each in found if each[0]), ({}, None))


def _usage_of(data: bytes) -> tuple[dict[str, Any], Any]:
    try:
        holder = msgspec.json.decode(data, type=_Holder)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return {}, None
    for inner in (holder.response, holder.message, holder):
        if inner is not None and isinstance(inner.usage, dict):
            return inner.usage, inner.service_tier
    return {}, None


def _is_anthropic(raw: dict[str, Any]) -> bool:
    return "cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw or "cache_creation" in raw


def _openai(raw: dict[str, Any]) -> tuple[dict[str, int | None], bool]:
    """Responses and Chat Completions name the same things differently."""
    check = _Check()
    read = _part(raw, "input_tokens_details", "prompt_tokens_details")
    wrote = _part(raw, "output_tokens_details", "completion_tokens_details")
    total = check.count(raw, "input_tokens", "prompt_tokens")
    cached = check.count(read, "cached_tokens")
    if cached is None:
        cached = check.count(raw, "prompt_cache_hit_tokens", "cached_tokens")
    cached = check.within(cached, total)
    written = check.within(
        check.count(read, "cache_write_tokens") or None, None if total is None else total - (cached or 0)
    )
    fresh = None if total is None else total - (cached or 0) - (written or 0)
    output = _completion(check, raw, total=total)
    return {
        "input": fresh,
        "cache_read": cached,
        "cache_write_5m": written,
        "output": output,
        "reasoning": check.within(check.count(wrote, "reasoning_tokens"), output),
        "audio_input": check.within(check.count(read, "audio_tokens") or None, fresh, sound=True),
        "audio_output": check.within(check.count(wrote, "audio_tokens") or None, output),
    }, check.sound


def _completion(check: _Check, raw: dict[str, Any], *, total: int | None) -> int | None:
    """Return the output, with what some leave out of the completion and count in the sum of all tokens."""
    output = check.count(raw, "output_tokens", "completion_tokens")
    everything = _Check().count(raw, "total_tokens")
    if everything is None or total is None or everything <= total + (output or 0):
        return output
    return everything - total


def _anthropic(raw: dict[str, Any]) -> tuple[dict[str, int | None], bool]:
    check = _Check()
    kinds = _part(raw, "cache_creation")
    hour = check.count(kinds, "ephemeral_1h_input_tokens")
    written = check.count(raw, "cache_creation_input_tokens")
    if written is None and kinds:
        written = (check.count(kinds, "ephemeral_5m_input_tokens") or 0) + (hour or 0)
    hour = check.within(hour, written)
    counts = {
        "input": check.count(raw, "input_tokens"),
        "cache_read": check.count(raw, "cache_read_input_tokens"),
        "cache_write_5m": None if written is None else written - (hour or 0),
        "cache_write_1h": hour,
        "output": check.count(raw, "output_tokens"),
        "web_searches": check.count(_part(raw, "server_tool_use"), "web_search_requests") or None,
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
            if isinstance(value, float) and value.is_integer():  # 12.0, from servers that know one kind of number
                value = int(value)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= TOKENS_MAX:
                return value
            self.sound = False
        return None

    def within(self, part: int | None, whole: int | None, *, sound: bool = False) -> int | None:
        """Return a part that is no larger than its whole; a larger one can't be true, unless ``sound`` says so."""
        if part is None or whole is None or part <= whole:
            return part
        self.sound = self.sound and sound
        return whole
