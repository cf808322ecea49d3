"""Token counts: four bytes of request a token, and one token a delta, unless options name the numbers."""

from typing import Any, NamedTuple

from simulator.options import Options
from simulator.script import Said, words


class Tokens(NamedTuple):
    read: int
    written: int
    cached: int
    cache_write: int
    reasoning: int


def count(options: Options, asked: bytes, said: Said | None = None, *, choices: int = 1) -> Tokens:
    """The tokens of a request and of what was said to it."""
    read = len(asked) // 4 + 1 if options.input is None else options.input
    # Providers cache prompts from 1,024 tokens on, in steps of 128.
    cached = read // 2 // 128 * 128 if read >= 1024 else 0
    thought = len(words(said.thought)) if said is not None and said.thought else 0
    reasoning = thought if options.reasoning is None else options.reasoning
    pieces = _pieces(options, said) * choices if said is not None else 0
    return Tokens(
        read,
        pieces + reasoning if options.output is None else options.output,
        cached if options.cached is None else options.cached,
        options.cache_write or 0,
        reasoning,
    )


def _pieces(options: Options, said: Said) -> int:
    if said.tools:
        return 5 * len(said.tools)
    return options.events or (options.size + 1023) // 1024 or len(words(said.text))


def responses_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "input_tokens": tokens.read,
        "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.cache_write},
        "output_tokens": tokens.written,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.read + tokens.written,
    }


def chat_usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.read,
        "completion_tokens": tokens.written,
        "total_tokens": tokens.read + tokens.written,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def messages_usage(tokens: Tokens) -> dict[str, Any]:
    """Anthropic's: `input_tokens` leaves out what was read from or written to the cache."""
    return {
        "input_tokens": max(tokens.read - tokens.cached - tokens.cache_write, 0),
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": tokens.written,
        "service_tier": "standard",
    }


def odd(usage: dict[str, Any]) -> dict[str, Any]:
    """The same members with values no biller should believe."""
    junk = iter((-5, "12", 1e18, None) * 4)
    return {name: next(junk) if isinstance(value, int) else value for name, value in usage.items()}
