"""Reads when an upstream wants to be asked again, from whichever of its headers and error members say so.

Sources: RFC 9110 (Retry-After), OpenAI and Anthropic API references on rate limits, error bodies of ChatGPT accounts.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

RETRY_AFTER_MAX = 86_400
RESET_MAX_S = 8 * 86_400.0
"""The longest reset that is believed: a week's window, and a day."""
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS_S = (86_400.0, 3600.0, 60.0, 1.0, 0.001)
_OPENAI = ("requests", "tokens")
_ANTHROPIC = ("requests", "tokens", "input-tokens", "output-tokens")


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Return the upstream's own wish in whole seconds, at least 1; None where it gives none that makes sense."""
    seconds = _retry_after_s(headers)
    return None if seconds is None else max(1, math.ceil(seconds))


def reset_s(headers: Mapping[str, str], error: Mapping[str, Any]) -> float | None:
    """Return after how many seconds a limit is over, by the most explicit of what the upstream tells."""
    told = _retry_after_s(headers)
    if told is None:
        told = _body_s(error)
    if told is None:
        told = max(_window_ends_s(headers), default=None)
    return None if told is None else max(told, 0.001)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        seconds = number_in(headers.get(name))
        if seconds is not None and 0 <= seconds / unit <= RETRY_AFTER_MAX:
            return seconds / unit
    try:
        seconds = parsedate_to_datetime(headers["retry-after"]).timestamp() - _now()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return seconds if 0 <= seconds <= RETRY_AFTER_MAX else None


def _body_s(error: Mapping[str, Any]) -> float | None:
    """``resets_in_seconds`` and ``resets_at`` (seconds since the epoch) of an account's limit."""
    seconds = number_in(error.get("resets_in_seconds"))
    if seconds is None and (at := number_in(error.get("resets_at"))) is not None:
        seconds = at - _now()
    return seconds if seconds is not None and 0 <= seconds <= RESET_MAX_S else None


def _window_ends_s(headers: Mapping[str, str]) -> list[float]:
    """Return the ends of the windows that are used up."""
    openai = [
        _duration_s(headers.get(f"x-ratelimit-reset-{name}", ""))
        for name in _OPENAI
        if headers.get(f"x-ratelimit-remaining-{name}") == "0"
    ]
    anthropic = [
        _moment_s(headers.get(f"anthropic-ratelimit-{name}-reset", ""))
        for name in _ANTHROPIC
        if headers.get(f"anthropic-ratelimit-{name}-remaining") == "0"
    ]
    return [seconds for seconds in (*openai, *anthropic) if seconds is not None and 0 <= seconds <= RETRY_AFTER_MAX]


def _duration_s(text: str) -> float | None:
    """Read what OpenAI writes: ``1s``, ``6m0s``, ``20ms``."""
    match = _DURATION.fullmatch(text.strip())
    if not text.strip() or match is None:
        return None
    return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS_S, strict=True) if part)


def _moment_s(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() - _now()
    except (ValueError, OverflowError):
        return None


def number_in(value: Any) -> float | None:
    """Return the finite number that a header or a member tells, None where it tells none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _now() -> float:
    return time.time_ns() / 1e9
