"""The Codex backend of ChatGPT accounts: Responses with rules of its own, called with what a person signed in to.

Source: public clients of that backend, up to 2026; it has no documentation. Everything that is known of its calls and
errors stands here, what is known of its accounts in ``codex_account``, so that both are easy to bring up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from app.protocol.call import Call, Place, Target
from app.protocol.errors import Problem, RelayError
from app.upstreams import codex_body, codex_quota
from app.upstreams.base import Adapter, Outgoing
from app.upstreams.codex_account import Pass
from app.upstreams.shape import headers_of, query_of, shaped
from app.upstreams.verdict import QUOTA_CODES, Scope, Verdict, error_of, judge, used_up

BETA = "responses=experimental"
ORIGINATOR = "codex_cli_rs"
"""What callers that aren't Codex clients are introduced as; these introduce themselves."""
EVENTS = "text/event-stream"
KEY_MAX = 200
_INVALID = ("invalid", "could not parse", "revoked", "invalidated", "sign in again", "signing in again")
_CLOSED = ("deactivated", "suspended", "disabled", "banned")


class CodexOAuth(Adapter):
    """ChatGPT accounts: creates and compaction of responses, nothing kept there, always answered in events."""

    kind = "codex_oauth"
    label = "Codex (ChatGPT accounts)"
    default_base_url = "https://chatgpt.com/backend-api/codex"
    served = frozenset({"responses.create", "responses.compact"})
    keeps_objects = False
    answers_in_events = True
    signs_in = True

    def judge(self, status: int, headers: Mapping[str, str], body: bytes, *, call: Call) -> Verdict | None:
        """Failures of an account are that account's alone; a 401 may be mended by a fresh token."""
        if status < 400:
            return judge(status, headers, body, call=call)
        error = error_of(body)
        if {str(error.get("code")), str(error.get("type"))} & QUOTA_CODES:
            return used_up(headers, error)
        if status == 401:
            return _refused("unauthorized", outdated=True, for_good=_says(body, _INVALID))
        if status == 403:
            return _refused("forbidden", for_good=_says(body, _CLOSED))
        return judge(status, headers, body, call=call)

    def list_request(self, place: Place) -> tuple[str, dict[str, str]]:
        """Ask for the account's allowance: there is no list of models, and this too shows whether it may come in."""
        return usage_url(place.base_url), dict(self._credential(place.secret)) | place.policy.set_headers

    def listed(self, body: bytes) -> list[str]:
        codex_quota.of_usage(body, now=0.0)
        return []

    def _credential(self, secret: str, auth: str = "") -> tuple[tuple[str, str], ...]:
        return tuple(Pass.read(secret).headers.items())

    def _body(self, call: Call, target: Target) -> bytes | None:
        if call.body is None:
            return None
        body = shaped(call.body, call, target)
        codex_body.refuse_state(body)
        compacts, given = call.endpoint.name == "responses.compact", target.place.policy.instructions
        return codex_body.transformed(body, compacts=compacts, instructions=given).body

    def _outgoing(self, call: Call, place: Place, body: bytes | None, *, object_id: str = "") -> Outgoing:
        query = query_of(call, place.policy)
        url = place.base_url + call.endpoint.path.removeprefix("/v1") + (f"?{query}" if query else "")
        own = {name.lower(): value for name, value in place.policy.set_headers.items()}
        headers = _introduced(call, dict(headers_of(call, place.policy))) | dict(self._credential(place.secret)) | own
        if call.endpoint.name == "responses.create":
            headers["accept"] = EVENTS
        return Outgoing(call.endpoint.method, url, tuple(headers.items()), body)


def usage_url(base_url: str) -> str:
    """Return where an account tells of its allowance: at the base URL's origin."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}/backend-api/wham/usage"


def _introduced(call: Call, headers: dict[str, str]) -> dict[str, str]:
    """Return the caller's own headers where it is a Codex client, else ours in their place."""
    if "originator" not in headers and not headers.get("user-agent", "").lower().startswith("codex"):
        headers = {name: value for name, value in headers.items() if not name.startswith("x-stainless-")}
        headers |= {"originator": ORIGINATOR, "user-agent": ORIGINATOR}
    headers.setdefault("openai-beta", BETA)
    if not headers.keys() & {"session-id", "conversation-id"} and call.body is not None:
        key = call.body.get("prompt_cache_key")
        if isinstance(key, str) and 0 < len(key) <= KEY_MAX and key.isascii() and key.isprintable():
            headers |= {"session_id": key, "conversation_id": key}
    return headers


def _refused(reason: str, *, outdated: bool = False, for_good: bool = False) -> Verdict:
    told = RelayError(Problem.UPSTREAM, "The upstream refused Realms' own account. Tell your administrator.")
    return Verdict(
        scope=Scope.CREDENTIAL, reason=reason, told=told, at_once=True, key_refused=for_good, outdated=outdated
    )


def _says(body: bytes, words: Iterable[str]) -> bool:
    """Whether one of the words is in what an error tells; its type isn't: most are an ``invalid_request_error``."""
    try:
        told = msgspec.json.decode(body, type=dict[str, Any])
        error = error_of(body)
        text = msgspec.json.encode([told.get("detail"), error.get("message"), error.get("code")]).decode().lower()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # a page, which is a proxy's
    return any(word in text for word in words)
