"""The Codex backend of ChatGPT accounts: Responses with its own rules, quotas in headers, the usage page."""

import secrets
import time

from simulator import responses
from simulator.answer import Answer, json_answer
from simulator.call import Call
from simulator.codex_accounts import CodexAccount, CodexAccounts, Quota
from simulator.errors import ApiError
from simulator.http import Request

REJECTED = (
    "max_output_tokens",
    "max_completion_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "user",
    "metadata",
    "safety_identifier",
    "truncation",
    "prompt_cache_retention",
    "previous_response_id",
    "background",
)


def signed_in(accounts: CodexAccounts, request: Request, token: str | None) -> CodexAccount:
    """The account of the access token, which must be the one named in the header."""
    known = accounts.access_tokens.get(token or "")
    if known is None:
        raise ApiError(
            401, "Could not parse your authentication token. Please try signing in again.", code="invalid_token"
        )
    account, expires = known
    if time.monotonic() >= expires:
        raise ApiError(
            401, "Provided authentication token is expired. Please try signing in again.", code="token_expired"
        )
    if request.header("chatgpt-account-id") != account.id:
        raise ApiError(403, "The account in chatgpt-account-id is not yours.", code="account_mismatch")
    return account


def create(call: Call, account: CodexAccount) -> Answer:
    _limit(account)
    _check(call)
    answer = responses.create(call)
    turn = call.request.header("x-codex-turn-state") or secrets.token_urlsafe(24)
    answer.headers += quota_headers(account.quota) + b"x-codex-turn-state: %b\r\n" % turn.encode()
    return answer


def compact(call: Call, account: CodexAccount) -> Answer:
    _limit(account)
    answer = responses.compact(call)
    answer.headers += quota_headers(account.quota)
    return answer


def _check(call: Call) -> None:
    body = call.body
    for name in REJECTED:
        if name in body:
            raise ApiError(400, f"Unsupported parameter: {name}", code="unsupported_parameter", param=name)
    if body.get("store") is not False:
        raise ApiError(400, "Store must be set to false", param="store")
    if body.get("stream") is not True:
        raise ApiError(400, "Stream must be set to true", param="stream")
    if not isinstance(body.get("instructions"), str) or not body["instructions"]:
        raise ApiError(400, "Instructions are required", param="instructions")
    if not isinstance(body.get("input"), list):
        raise ApiError(400, "Input must be a list", param="input")


def _limit(account: CodexAccount) -> None:
    if not account.quota.limit_reached:
        return
    quota = account.quota
    error = ApiError(
        429,
        "The usage limit has been reached",
        kind="usage_limit_reached",
        headers=quota_headers(quota),
    )
    error.more = {
        "plan_type": account.plan,
        "resets_at": int(time.time()) + quota.primary_reset,
        "resets_in_seconds": quota.primary_reset,
    }
    raise error


def quota_headers(quota: Quota) -> bytes:
    values = {
        "primary-used-percent": quota.primary_used,
        "primary-reset-after-seconds": quota.primary_reset,
        "primary-window-minutes": quota.primary_minutes,
        "secondary-used-percent": quota.secondary_used,
        "secondary-reset-after-seconds": quota.secondary_reset,
        "secondary-window-minutes": quota.secondary_minutes,
    }
    return "".join(f"x-codex-{name}: {value}\r\n" for name, value in values.items()).encode()


def usage(account: CodexAccount) -> Answer:
    quota = account.quota
    now = int(time.time())

    def window(used: float, minutes: int, reset: int) -> dict[str, object]:
        return {
            "used_percent": used,
            "limit_window_seconds": minutes * 60,
            "reset_after_seconds": reset,
            "reset_at": now + reset,
        }

    limits = {
        "allowed": not quota.limit_reached,
        "limit_reached": quota.limit_reached,
        "primary_window": window(quota.primary_used, quota.primary_minutes, quota.primary_reset),
        "secondary_window": window(quota.secondary_used, quota.secondary_minutes, quota.secondary_reset),
    }
    balance = quota.credits_left
    credits_left = {"has_credits": bool(balance), "unlimited": False, "balance": balance or "0"}
    return json_answer(
        {"plan_type": account.plan, "email": account.email, "rate_limit": limits, "credits": credits_left}
    )
