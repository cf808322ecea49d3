"""Takes the counts out of each provider's usage object, into the names of the normal form.

What can't be a token count (negative, absurdly large, not a whole number) is left out and flagged; so is a part that
is larger than its whole.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

TOKENS_MAX = 1_000_000_000
"""More tokens than any call can use; a larger number is the upstream's mistake."""
Count = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_MAX)] | None
Counts = dict[str, int | None]


def is_anthropic(raw: dict[str, Any]) -> bool:
    """Whether an object is Anthropic's; what both call alike means the same in both."""
    return "cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw or "cache_creation" in raw


class _Part(msgspec.Struct):
    """What OpenAI tells of its input or of its output in detail."""

    cached_tokens: Count = None
    cache_write_tokens: Count = None
    reasoning_tokens: Count = None
    audio_tokens: Count = None


class _OpenAI(msgspec.Struct):
    """Responses and Chat Completions name the same things differently."""

    input_tokens: Count = None
    prompt_tokens: Count = None
    output_tokens: Count = None
    completion_tokens: Count = None
    prompt_cache_hit_tokens: Count = None
    cached_tokens: Count = None
    input_tokens_details: _Part | None = None
    prompt_tokens_details: _Part | None = None
    output_tokens_details: _Part | None = None
    completion_tokens_details: _Part | None = None


class _Written(msgspec.Struct):
    ephemeral_5m_input_tokens: Count = None
    ephemeral_1h_input_tokens: Count = None


class _Tools(msgspec.Struct):
    web_search_requests: Count = None


class _Anthropic(msgspec.Struct):
    input_tokens: Count = None
    output_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_creation: _Written | None = None
    server_tool_use: _Tools | None = None


_NO_PART, _NOT_WRITTEN, _NO_TOOLS = _Part(), _Written(), _Tools()
_PARTS: dict[str, type[msgspec.Struct]] = {"cache_creation": _Written, "server_tool_use": _Tools}
_T = TypeVar("_T", bound=msgspec.Struct)


def openai(raw: dict[str, Any]) -> tuple[Counts, bool]:
    """Return what OpenAI's object tells, and whether all of it could be true."""
    told, sound = _told(raw, _OpenAI)
    check = _Check(sound=sound)
    read = told.input_tokens_details or told.prompt_tokens_details or _NO_PART
    wrote = told.output_tokens_details or told.completion_tokens_details or _NO_PART
    total = _either(told.input_tokens, told.prompt_tokens)
    hits = _either(told.prompt_cache_hit_tokens, told.cached_tokens)
    cached = check.within(_either(read.cached_tokens, hits), total)
    left = None if total is None else total - (cached or 0)
    written = check.within(read.cache_write_tokens, left) if read.cache_write_tokens else None
    fresh = None if left is None else left - (written or 0)
    output = _completion(_either(told.output_tokens, told.completion_tokens), raw.get("total_tokens"), total)
    counts = {"input": fresh, "cache_read": cached, "cache_write_5m": written, "output": output}
    if wrote is not _NO_PART:
        counts["reasoning"] = check.within(wrote.reasoning_tokens, output)
        counts["audio_output"] = check.within(wrote.audio_tokens, output) if wrote.audio_tokens else None
    if read.audio_tokens:
        counts["audio_input"] = check.within(read.audio_tokens, fresh, sound=True)
    return counts, check.sound


def _completion(output: int | None, everything: Any, total: int | None) -> int | None:
    """Return the output, with what some leave out of the completion and count in the sum of all tokens."""
    if total is None or not _is_count(everything) or everything <= total + (output or 0):
        return output
    return int(everything) - total


def anthropic(raw: dict[str, Any]) -> tuple[Counts, bool]:
    """Return what Anthropic's object tells, and whether all of it could be true."""
    told, sound = _told(raw, _Anthropic)
    check = _Check(sound=sound)
    kinds = told.cache_creation or _NOT_WRITTEN
    written = told.cache_creation_input_tokens
    if written is None and raw.get("cache_creation"):
        written = (kinds.ephemeral_5m_input_tokens or 0) + (kinds.ephemeral_1h_input_tokens or 0)
    hour = check.within(kinds.ephemeral_1h_input_tokens, written)
    counts = {
        "input": told.input_tokens,
        "cache_read": told.cache_read_input_tokens,
        "cache_write_5m": None if written is None else written - (hour or 0),
        "cache_write_1h": hour,
        "output": told.output_tokens,
        "web_searches": (told.server_tool_use or _NO_TOOLS).web_search_requests or None,
    }
    return counts, check.sound


def _told(raw: dict[str, Any], shape: type[_T]) -> tuple[_T, bool]:
    """Return what an object tells, and whether all counts in it could be true; those that couldn't are left out."""
    try:
        return msgspec.convert(raw, shape), True
    except msgspec.ValidationError:
        pass
    kept: dict[str, Any] = {}
    sound = True
    for name in shape.__struct_fields__:
        value = raw.get(name)
        if value is None:
            continue
        if name.endswith("_details") or name in _PARTS:
            if isinstance(value, dict):
                kept[name], whole = _told(value, _PARTS.get(name, _Part))
                sound = sound and whole
        elif _is_count(value):
            kept[name] = int(value)
        else:
            sound = False
    return shape(**kept), sound


def _is_count(value: Any) -> bool:
    """Whether a value can be a count of tokens; 12.0 can, from servers that know one kind of number."""
    whole = (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and value.is_integer()
    )
    return whole and 0 <= value <= TOKENS_MAX


def _either(count: int | None, other: int | None) -> int | None:
    """Return the first of two counts that was told."""
    return other if count is None else count


class _Check:
    """Compares counts with each other and remembers whether all of them could be true."""

    def __init__(self, *, sound: bool) -> None:
        self.sound = sound

    def within(self, part: int | None, whole: int | None, *, sound: bool = False) -> int | None:
        """Return a part that is no larger than its whole; a larger one can't be true, unless ``sound`` says so."""
        if part is None or whole is None or part <= whole:
            return part
        self.sound = self.sound and sound
        return whole
