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

_MEMO_MAX = 2048
_memo: dict[str, str | None] = {}


def to_upstream(environ: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the caller's headers that may travel on, from a WSGI environ, as (lower-case name, value)."""
    passed = []
    for key, value in environ.items():
        name = _memo[key] if key in _memo else _decide(key)
        if name is not None and value:
            passed.append((name, str(value)))
    return passed


def _decide(key: str) -> str | None:
    """Judge one environ key, and remember it: the same few names come with every request."""
    if key == "CONTENT_TYPE":
        name = "content-type"
    elif key.startswith("HTTP_"):
        name = _wire_name(key[5:].lower())
    else:
        name = ""
    verdict = name if name in TO_UPSTREAM or name.startswith(TO_UPSTREAM_PREFIXES) else None
    if len(_memo) < _MEMO_MAX:
        _memo[key] = verdict
    return verdict


def _wire_name(name: str) -> str:
    """WSGI folds ``-`` into ``_``; two known names really have the underscore, and only hyphens reach us by default."""
    return name.replace("_", "-")


def to_client(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the upstream's headers that may reach the caller; names come in lower case."""
    return [(name, value) for name, value in headers if name in TO_CLIENT]
