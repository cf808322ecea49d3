"""What ChatGPT accounts tell of their allowance: two windows, one of hours and one of a week.

Source: public clients of the Codex backend, up to 2026: ``x-codex-*`` headers on every answer, and the usage page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from app.upstreams.reset import number_in

SHORT_MINUTES = 360
LONG_MINUTES = 10_000
PREFIX = "x-codex-"
USUAL_MINUTES = {"primary": 300.0, "secondary": 10_080.0}
"""How long the windows are where their length isn't told."""
SIGN = "x-codex-primary-used-percent"
UNLIMITED = "unlimited"
CREDITS_MAX = 20
UNKNOWN = 0.5
"""How willing an account is that has told nothing yet."""


class Window(msgspec.Struct, frozen=True, array_like=True):
    """One window: how much of it is used, in percent, when it begins anew (seconds since the epoch), its length."""

    used: float
    resets_at: float
    minutes: float


class Quota(msgspec.Struct, frozen=True, omit_defaults=True):
    """The windows of one account, as far as they are known."""

    short: Window | None = None
    long: Window | None = None
    credits: str = ""
    """What is left to be paid with beyond the windows, as only the usage page tells it; empty where that is nothing."""

    def willingness(self, now: float) -> float:
        """Return how willing the account is to take a new conversation, 0 to 1: what is left for the time left.

        In steps of a tenth, so that among accounts that are about equal the calls under way decide.
        """
        windows = [window for window in (self.short, self.long) if window is not None]
        if not windows:
            return UNKNOWN
        ratio = min(_left_per_time(window, now) for window in windows)
        return round(ratio / (1 + ratio), 1)


def _left_per_time(window: Window, now: float) -> float:
    """Return the share that is left over the share of time that is left; 1 for a window that has just begun."""
    if window.resets_at <= now:
        return 1.0
    left = max(0.0, 1 - window.used / 100)
    time_left = min(1.0, (window.resets_at - now) / (window.minutes * 60))
    return min(left / max(time_left, 0.01), 9.0)


def of_headers(headers: Mapping[str, str], *, now: float) -> Quota | None:
    """Return the windows that an answer's headers tell of, None where they tell of none."""
    if SIGN not in headers and "x-codex-secondary-used-percent" not in headers:
        return None
    windows = []
    for name in ("primary", "secondary"):
        values = [
            _number(headers.get(f"{PREFIX}{name}-{member}"))
            for member in ("used-percent", "reset-after-seconds", "window-minutes")
        ]
        resets_at = None if values[1] is None else now + values[1]
        windows.append(_window(values[0], resets_at, values[2] or USUAL_MINUTES[name]))
    return _quota(*windows)


def of_usage(body: bytes, *, now: float) -> Quota:
    """Return the windows of a usage page. Raises ``ValueError`` for anything else."""
    try:
        page = msgspec.json.decode(body)
        limits = page["rate_limit"] or {}
        windows = [_of_page(limits.get(f"{name}_window") or {}, usual, now) for name, usual in USUAL_MINUTES.items()]
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError("the answer is not an account's usage") from None
    return msgspec.structs.replace(_quota(*windows), credits=_credits(page.get("credits")))


def _credits(told: Any) -> str:
    if not isinstance(told, Mapping) or not (told.get("has_credits") or told.get("unlimited")):
        return ""
    return UNLIMITED if told.get("unlimited") else str(told.get("balance", ""))[:CREDITS_MAX]


def _of_page(told: Mapping[str, Any], usual_minutes: float, now: float) -> Window | None:
    resets_at, after = _number(told.get("reset_at")), _number(told.get("reset_after_seconds"))
    if resets_at is None and after is not None:
        resets_at = now + after
    seconds = _number(told.get("limit_window_seconds"))
    return _window(_number(told.get("used_percent")), resets_at, seconds / 60 if seconds else usual_minutes)


def _window(used: float | None, resets_at: float | None, minutes: float) -> Window | None:
    if used is None or resets_at is None:
        return None
    return Window(used, round(resets_at), minutes)


def _quota(*windows: Window | None) -> Quota:
    """Tell the windows by their length, whatever they are called."""
    short = next((w for w in windows if w is not None and w.minutes <= SHORT_MINUTES), None)
    long = next((w for w in windows if w is not None and w.minutes >= LONG_MINUTES), None)
    return Quota(short, long)


def _number(value: Any) -> float | None:
    number = number_in(value)
    return number if number is not None and number >= 0 else None
