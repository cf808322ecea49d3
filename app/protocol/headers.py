"""Allow-lists of headers, both directions: what isn't named here stays on its side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

IDEMPOTENCY_KEY = "idempotency-key"
TO_UPSTREAM = frozenset({
    "accept", "content-type", "user-agent", "openai-beta", "anthropic-version", "anthropic-beta", IDEMPOTENCY_KEY,
    "session-id", "thread-id", "x-session-id", "conversation-id", "x-client-request-id", "originator", "version",
    "x-app", "anthropic-dangerous-direct-browser-access",
})  # fmt: skip
TO_UPSTREAM_PREFIXES = ("x-stainless-", "x-codex-", "x-openai-", "x-claude-code-")

TURN_STATE = "x-codex-turn-state"
"""What Codex names a turn by: its own account alone can go on with it."""
TO_CLIENT = frozenset({
    "content-type", "retry-after", "retry-after-ms", "openai-processing-ms", "openai-version", "openai-model",
    "x-should-retry", TURN_STATE,
})  # fmt: skip

NEVER_LET_THROUGH = frozenset({
    "host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "http2-settings",
    "content-length", "content-encoding", "accept-encoding", "range", "via", "forwarded", "origin", "referer",
    "x-real-ip", "x-client-ip", "true-client-ip", "openai-organization", "openai-project", "chatgpt-account-id",
})  # fmt: skip
_NEVER_PREFIXES = ("proxy-", "x-forwarded-", "x-original-", "x-rewrite-", "x-http-method", "sec-", "cf-")
_NEVER_PARTS = ("auth", "cookie", "api-key", "apikey", "token", "secret", "password")
"""What the transport is for, what tells who called from where, and what could be a key or choose whose is used."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?")

_JUDGED_MAX, _PASSING_MAX = 2048, 64
_judged: set[str] = set()
_passing: dict[str, str] = {}
"""Environ keys that were judged, and those of them that pass; the same few come with every request."""


def to_upstream(environ: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the caller's headers that may travel on, from a WSGI environ, as (lower-case name, value)."""
    unseen = environ.keys() - _judged
    passing = _passing | _judge(unseen) if unseen else _passing
    return [(name, str(environ[key])) for key, name in passing.items() if environ.get(key)]


def _judge(keys: Iterable[str]) -> dict[str, str]:
    """Return those of these environ keys that pass, with their names; remember the verdicts while there is room."""
    found = {}
    for key in keys:
        name = _wire_name(key)
        if name in TO_UPSTREAM or name.startswith(TO_UPSTREAM_PREFIXES):
            found[key] = name
            if len(_passing) < _PASSING_MAX:
                _passing[key] = name
                _judged.add(key)
        elif len(_judged) < _JUDGED_MAX:
            _judged.add(key)
    return found


def _wire_name(key: str) -> str:
    """Return a header's name by its environ key, empty where the key is none's.

    WSGI folds ``-`` into ``_``; two known names really have the underscore, and only hyphens reach us by default.
    """
    if key == "CONTENT_TYPE":
        return "content-type"
    return key[5:].lower().replace("_", "-") if key.startswith("HTTP_") else ""


def may_be_let_through(name: str) -> bool:
    """Whether an operator may let a header of callers through that doesn't pass by itself."""
    if not name.isascii():  # before it is made smaller: a sign for Kelvin would become a k
        return False
    name = name.lower()
    if not _NAME.fullmatch(name) or name in NEVER_LET_THROUGH or name.startswith(_NEVER_PREFIXES):
        return False
    return not any(part in name for part in _NEVER_PARTS)


def offered(environ: Mapping[str, object], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return those of the caller's headers that some upstream is let see beside what passes by itself."""
    found = ((name, environ.get(f"HTTP_{name.upper().replace('-', '_')}")) for name in names)
    return tuple((name, str(value)) for name, value in found if value)


def to_client(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the upstream's headers that may reach the caller; names come in lower case."""
    return [(name, value) for name, value in headers if name in TO_CLIENT]
