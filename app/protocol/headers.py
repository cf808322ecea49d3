"""Allow-lists of headers, both directions: what isn't named here stays on its side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TO_UPSTREAM = frozenset({
    "accept", "content-type", "user-agent", "openai-beta", "anthropic-version", "anthropic-beta", "idempotency-key",
    "session-id", "thread-id", "x-session-id", "conversation-id", "x-client-request-id", "originator", "version",
    "x-app", "anthropic-dangerous-direct-browser-access",
})  # fmt: skip
TO_UPSTREAM_PREFIXES = ("x-stainless-", "x-codex-", "x-openai-", "x-claude-code-")

TO_CLIENT = frozenset({
    "content-type", "retry-after", "retry-after-ms", "openai-processing-ms", "openai-version", "openai-model",
    "x-should-retry", "x-codex-turn-state",
})  # fmt: skip

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


def to_client(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the upstream's headers that may reach the caller; names come in lower case."""
    return [(name, value) for name, value in headers if name in TO_CLIENT]
