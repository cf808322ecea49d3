"""ChatGPT accounts: how a person signs in, what the tokens say, and how they are renewed. Makes requests, sends none.

Source: public clients of the Codex backend, up to 2026. The provider fixes where its browser page leads back to, an
address on the person's own machine, so that a server can't receive it: the person pastes it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"
REDIRECT_URI = "http://localhost:1455/auth/callback"
SCOPE = "openid profile email offline_access"
CLAIMS = "https://api.openai.com/auth"
LIFE_S = 3600.0
"""How long an access token is taken to live that doesn't say."""
SPENT = frozenset({
    "invalid_grant", "refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated", "token_expired",
})  # fmt: skip
"""Errors that say that a refresh token will never work again."""
_Headers = dict[str, str]


class TokensError(ValueError):
    """Tokens that can't be used; ``str()`` says why, without any of them."""


class Pass(msgspec.Struct, frozen=True):
    """What calls are made with: as a credential's secret, one string."""

    account_id: str
    access_token: str

    @classmethod
    def read(cls, secret: str) -> Pass:
        account_id, _, access_token = secret.partition(" ")
        return cls(account_id, access_token)

    def __str__(self) -> str:
        return f"{self.account_id} {self.access_token}"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that show it."""
        return {"authorization": f"Bearer {self.access_token}", "chatgpt-account-id": self.account_id}


class Tokens(msgspec.Struct, frozen=True):
    """A whole set; ``begins`` and ``ends`` of the access token's life in seconds since the epoch."""

    access_token: str
    refresh_token: str
    account_id: str
    begins: float
    ends: float
    email: str = ""
    plan: str = ""

    @property
    def renew_at(self) -> float:
        """When to renew, with time left for trying again."""
        return self.begins + 0.7 * (self.ends - self.begins)


def authorize_url(login_url: str, *, state: str, verifier: str) -> str:
    """Return the page on which a person signs in (RFC 7636, S256)."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": REDIRECT_URI,
        "scope": SCOPE,
        "code_challenge": digest,
        "code_challenge_method": "S256",
        "state": state,
        "id_token_add_organizations": "true",
        "codex_cli_simplified_flow": "true",
    }
    return f"{login_url}/oauth/authorize?{urlencode(query)}"


def token_url(login_url: str) -> str:
    """Return where tokens are fetched and renewed."""
    return f"{login_url}/oauth/token"


def pasted(text: str) -> tuple[str, str]:
    """Return code and state out of the address that the browser ended at, or ``code#state``; empty where missing."""
    text = text.strip()
    query = urlsplit(text).query if "://" in text else text.partition("?")[2] or text
    if "=" in query:
        found = parse_qs(query)
        return found.get("code", [""])[0], found.get("state", [""])[0]
    code, _, state = text.partition("#")
    return code, state


def code_form(code: str, verifier: str) -> tuple[_Headers, bytes]:
    """Return headers and body that redeem a code."""
    return _form(grant_type="authorization_code", code=code, code_verifier=verifier, redirect_uri=REDIRECT_URI)


def refresh_form(refresh_token: str) -> tuple[_Headers, bytes]:
    """Return headers and body that renew a set of tokens; the refresh token is spent with it."""
    return _form(grant_type="refresh_token", refresh_token=refresh_token)


def _form(**fields: str) -> tuple[_Headers, bytes]:
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    return headers, urlencode({"client_id": CLIENT_ID} | fields).encode()


def is_spent(status: int, body: bytes) -> bool:
    """Whether an answer says that the refresh token is of no use any more."""
    if not 400 <= status < 500:
        return False
    told = _object(body)
    error = told.get("error")
    names = {str(error), str(told.get("code"))}
    if isinstance(error, dict):
        names |= {str(error.get("code")), str(error.get("type"))}
    return bool(names & SPENT)


def tokens_of(body: bytes, *, now: float, before: Tokens | None = None) -> Tokens:
    """Read a token answer; what a renewal leaves out stays as it was ``before``. Raises ``TokensError``."""
    told = _object(body)
    seconds = told.get("expires_in")
    ends = now + seconds if isinstance(seconds, int | float) and 0 < seconds < 10**9 else None
    return _tokens(told, now=now, ends=ends, before=before)


def tokens_of_file(text: str, *, now: float) -> Tokens:
    """Read the Codex CLI's ``auth.json``, or a set of tokens alone. Raises ``TokensError``."""
    told = _object(text.encode())
    inner = told.get("tokens")
    return _tokens(inner if isinstance(inner, dict) else told, now=now, ends=None, before=None)


def _tokens(told: dict[str, Any], *, now: float, ends: float | None, before: Tokens | None) -> Tokens:
    access = _text(told, "access_token")
    refresh = _text(told, "refresh_token") or (before.refresh_token if before else "")
    if not access or not refresh:
        raise TokensError("there is no access_token or no refresh_token in it")
    identity, own = claims_of(_text(told, "id_token")), claims_of(access)
    account = identity.get(CLAIMS) or own.get(CLAIMS) or {}
    account = account if isinstance(account, dict) else {}
    account_id = before.account_id if before else _text(account, "chatgpt_account_id") or _text(told, "account_id")
    if not account_id or not account_id.isascii() or not account_id.isprintable() or " " in account_id:
        raise TokensError("no account is named in it")
    begins = now if ends is not None else _number(own.get("iat"), now)
    ends = ends if ends is not None else _number(own.get("exp"), now + LIFE_S)
    return Tokens(
        access,
        refresh,
        account_id[:100],
        begins=min(begins, now),
        ends=ends,
        email=(_text(identity, "email") or (before.email if before else ""))[:254],
        plan=(_text(account, "chatgpt_plan_type") or (before.plan if before else ""))[:40],
    )


def claims_of(token: str) -> dict[str, Any]:
    """Return what a JWT claims, empty where it is none. Nobody checks its signature: it came from its issuer."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        return _object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}


def _object(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str):
        return ""
    value = value.strip()
    return value if value.isprintable() else ""


def _number(value: Any, otherwise: float) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 10**11
    return float(value) if usable else otherwise
