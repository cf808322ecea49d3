"""Which keys are accepted, and how the others are refused."""

from simulator.errors import MESSAGES, ApiError, Dialect
from simulator.http import Request


def key_of(request: Request) -> str | None:
    scheme, _, value = (request.header("authorization") or "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return request.header("x-api-key")


def check(key: str | None, dialect: Dialect) -> str:
    """The key, if it is an account's; `sim-quota…`, `sim-forbidden…` and `sim-limited…` are refused."""
    if key is None or not key.startswith("sim-"):
        raise _unknown(key, dialect)
    if key.startswith("sim-quota"):
        raise _quota(dialect)
    if key.startswith("sim-forbidden"):
        raise _forbidden(dialect)
    if key.startswith("sim-limited"):
        raise ApiError(
            429,
            "Rate limit reached for sim-1 in organization org-sim on requests per min (RPM): Limit 3, Used 3, "
            "Requested 1. Please try again in 2s. Visit https://platform.openai.com/account/rate-limits to learn more.",
            headers=b"retry-after: 2\r\nretry-after-ms: 2000\r\n",
        )
    return key


def masked(key: str) -> str:
    return key if len(key) < 13 else f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"


def _unknown(key: str | None, dialect: Dialect) -> ApiError:
    if dialect is MESSAGES:
        return ApiError(401, "x-api-key header is required" if key is None else "invalid x-api-key")
    if key is None:
        return ApiError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
            "auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from "
            "https://platform.openai.com/account/api-keys.",
            kind="invalid_request_error",
        )
    return ApiError(
        401,
        f"Incorrect API key provided: {masked(key)}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
    )


def _quota(dialect: Dialect) -> ApiError:
    if dialect is MESSAGES:
        return ApiError(402, "Your credit balance is too low to access the Anthropic API. Organization org-sim.")
    return ApiError(
        429,
        "You exceeded your current quota, please check your plan and billing details. For more information on this "
        "error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        kind="insufficient_quota",
        code="insufficient_quota",
    )


def _forbidden(dialect: Dialect) -> ApiError:
    if dialect is MESSAGES:
        return ApiError(403, "Your API key does not have permission to use the specified resource.")
    return ApiError(
        403,
        "Project `proj_sim` of organization `org-sim` (owner@simulator.example) is not allowed to use this resource.",
        code="access_denied",
    )
