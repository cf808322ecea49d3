"""The failure table: what an upstream's answer says about whom, for how long, and what the caller is told.

What concerns the caller's request passes with the provider's own words. What concerns our account never does: an
upstream's 401 names our key and would tell callers that theirs is bad.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from app.protocol.call import Call
from app.protocol.endpoints import Kind, Protocol
from app.protocol.errors import Problem, RelayError
from app.upstreams.reset import reset_s, retry_after

QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "usage_limit_reached"})
MODEL_CODES = frozenset({"model_not_found", "model_not_available", "model_not_supported", "unsupported_model"})
"""Error codes that name the model: only that route is at fault. Words in a message never decide this."""
FLAGGED_CODES = frozenset({"content_policy_violation", "content_filter", "moderation_blocked"})
QUOTA_REST_S = 300.0


class Scope(StrEnum):
    """Whom a failure concerns, and so who is left out after it."""

    REQUEST = "request"
    """The caller's own mistake: passed through, tried nowhere else."""
    NOTHING = "nothing"
    """This attempt alone."""
    ENDPOINT = "endpoint"
    ROUTE = "route"
    CREDENTIAL = "credential"
    UPSTREAM = "upstream"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a failed attempt means.

    ``told`` is what the caller gets when nobody else can serve; None: the upstream's own answer. ``rest_s`` is for how
    long the upstream itself asks to be left alone, None where it doesn't say. ``at_once`` says that one such failure is
    enough to leave its cause out, ``key_refused`` that the credential isn't known at all (a 403 could be provoked).
    """

    scope: Scope
    reason: str
    told: RelayError | None = None
    rest_s: float | None = None
    at_once: bool = False
    key_refused: bool = False
    outdated: bool = False


REQUEST = Verdict(scope=Scope.REQUEST, reason="request")


def judge(status: int, headers: Mapping[str, str], body: bytes, *, call: Call) -> Verdict | None:
    """Return what an answer means, None for a good one.

    ``call`` tells endpoint, model and query; ``headers`` have lower-case names.
    """
    if status < 300:
        return None
    if status < 400:
        return upstream_failed("redirect", "The upstream answered with a redirect, which is never followed.")
    error = error_of(body)
    code = code_of(error)
    if status in {400, 403, 404} and code in MODEL_CODES:
        return _no_such_model(call.model)
    if status in {401, 402, 403, 407}:
        return _refused(status, headers, error)
    if status == 429:
        return _throttled(headers, error)
    if status in {404, 405, 501} and call.endpoint.kind is not Kind.OBJECT:
        missing = _missing(error, code, call)
        if missing is not None:
            return missing
    if status == 408 or status >= 500:
        return _failed(status, headers)
    return REQUEST if body.lstrip().startswith(b"{") else _wordless(status)


def upstream_failed(
    reason: str, message: str, *, problem: Problem = Problem.UPSTREAM, at_once: bool = False
) -> Verdict:
    """Return the verdict on an upstream that didn't do its part."""
    return Verdict(scope=Scope.UPSTREAM, reason=reason, told=RelayError(problem, message), at_once=at_once)


def error_of(body: bytes) -> dict[str, Any]:
    """Return the error object of a body, empty where it has none."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    error = told.get("error") if isinstance(told, dict) else None
    return error if isinstance(error, dict) else {}


def code_of(error: Mapping[str, Any]) -> str:
    """Return the most telling name that an error object has."""
    return str(error.get("code") or error.get("type") or "")


def _no_such_model(model: str) -> Verdict:
    message = f"The model '{model}' does not exist or you do not have access to it."
    told = RelayError(Problem.MODEL_NOT_FOUND, message, param="model")
    return Verdict(scope=Scope.ROUTE, reason="model_not_found", told=told, at_once=True)


def _refused(status: int, headers: Mapping[str, str], error: Mapping[str, Any]) -> Verdict:
    if status == 403 and (code_of(error) in FLAGGED_CODES or _is_moderation(error)):
        return REQUEST
    if status == 402 or code_of(error) in QUOTA_CODES:
        return used_up(headers, error)
    message = "The upstream refused Realms' own credential. Tell your administrator."
    told = RelayError(Problem.UPSTREAM, message)
    reason = "key_refused" if status == 401 else "credential_refused"
    return Verdict(scope=Scope.CREDENTIAL, reason=reason, told=told, at_once=True, key_refused=status == 401)


def _is_moderation(error: Mapping[str, Any]) -> bool:
    """Whether a 403 is about what was asked (OpenRouter: ``error.metadata.reasons``), which anyone could provoke."""
    metadata = error.get("metadata")
    return isinstance(metadata, dict) and bool(metadata.get("reasons") or metadata.get("flagged_input"))


def used_up(headers: Mapping[str, str], error: Mapping[str, Any]) -> Verdict:
    """Return the verdict on an account whose allowance is used up."""
    told = RelayError(Problem.OVERLOADED, "The upstream account is used up. Tell your administrator.")
    rest_s = reset_s(headers, error) or QUOTA_REST_S
    return Verdict(scope=Scope.CREDENTIAL, reason="quota", told=told, rest_s=rest_s, at_once=True)


def _throttled(headers: Mapping[str, str], error: Mapping[str, Any]) -> Verdict:
    if code_of(error) in QUOTA_CODES or str(error.get("type")) in QUOTA_CODES:
        return used_up(headers, error)
    rest_s = reset_s(headers, error)
    wait = retry_after(headers) or (max(1, round(rest_s)) if rest_s else 1)
    message = "The upstream limits the rate of requests; try again later."
    told = RelayError(Problem.RATE_LIMITED, message, retry_after=wait)
    if str(error.get("message")).startswith("Request too large"):  # a limit that this one request is over by itself
        return Verdict(scope=Scope.NOTHING, reason="request_over_limit", told=told)
    return Verdict(scope=Scope.CREDENTIAL, reason="rate_limited", told=told, rest_s=rest_s, at_once=True)


def _missing(error: Mapping[str, Any], code: str, call: Call) -> Verdict | None:
    """Judge a 404: of the path, of the model (Anthropic has no code for it), or of something in the request."""
    if not error or code in {"404", "405", "501", "unknown_url"}:
        message = "No upstream that serves this model offers this endpoint."
        told = RelayError(Problem.UNSUPPORTED, message)
        # A query is the caller's, and some servers answer an odd one with a 404.
        scope = Scope.NOTHING if call.query not in {"", "beta=true"} else Scope.ENDPOINT
        return Verdict(scope=scope, reason="endpoint_missing", told=told, at_once=True)
    if call.endpoint.protocol is Protocol.ANTHROPIC and str(error.get("message")).startswith("model:"):
        return _no_such_model(call.model)
    return None


def _failed(status: int, headers: Mapping[str, str]) -> Verdict:
    wait = retry_after(headers)
    if status in {408, 504}:
        told = RelayError(Problem.TIMEOUT, "The upstream took too long to answer.")
    elif status in {503, 529}:
        told = RelayError(Problem.OVERLOADED, "The upstream is overloaded; try again later.", retry_after=wait)
    else:
        told = RelayError(Problem.UPSTREAM, f"The upstream failed (status {status}).", retry_after=wait)
    return Verdict(
        scope=Scope.UPSTREAM,
        reason=f"status_{status}",
        told=told,
        rest_s=float(wait) if wait is not None else None,
        at_once=wait is not None,
    )


def _wordless(status: int) -> Verdict:
    """A refusal in no words of the provider's own: a proxy's page, perhaps about the caller's request."""
    problem = Problem.TOO_LARGE if status == 413 else Problem.UPSTREAM
    told = RelayError(problem, f"The upstream refused the request (status {status}).")
    return Verdict(scope=Scope.NOTHING, reason=f"status_{status}", told=told)
