"""ChatGPT accounts behind the simulated Codex backend: their tokens, sign-ins and quotas."""

import base64
import hashlib
import secrets
import time
from typing import Any

import msgspec

CLAIMS = "https://api.openai.com/auth"


class Quota(msgspec.Struct):
    """What the x-codex-* headers and the usage page tell."""

    primary_used: float = 12.5
    primary_reset: int = 9000
    primary_minutes: int = 300
    secondary_used: float = 30.0
    secondary_reset: int = 400000
    secondary_minutes: int = 10080
    credits_left: str = ""
    """What the usage page tells as the balance; empty for an account without credits."""
    limit_reached: bool = False
    """Refuse calls with `usage_limit_reached`."""


class CodexAccount(msgspec.Struct):
    id: str
    email: str
    plan: str = "plus"
    quota: Quota = msgspec.field(default_factory=Quota)


class SignIn(msgspec.Struct):
    account: CodexAccount
    challenge: str
    redirect_uri: str
    client_id: str


class CodexAccounts:
    def __init__(self) -> None:
        self.accounts: dict[str, CodexAccount] = {}
        self.codes: dict[str, SignIn] = {}
        self.refresh_tokens: dict[str, CodexAccount] = {}
        self.access_tokens: dict[str, tuple[CodexAccount, float]] = {}
        self.refreshes = 0
        self.expires_in = 864000

    def account(self, email: str, *, ident: str | None = None, plan: str | None = None) -> CodexAccount:
        """The account of this address; its id follows from the address unless given."""
        ident = ident or "acc-" + hashlib.sha256(email.encode()).hexdigest()[:32]
        found = self.accounts.setdefault(ident, CodexAccount(ident, email))
        found.plan = plan or found.plan
        return found

    def issue(self, account: CodexAccount, expires_in: int | None = None) -> dict[str, Any]:
        """A new set of tokens."""
        life = self.expires_in if expires_in is None else expires_in
        profile = {"chatgpt_account_id": account.id, "chatgpt_plan_type": account.plan}
        expires = int(time.time()) + life
        access = jwt({"exp": expires, "jti": secrets.token_hex(8), CLAIMS: profile})
        refresh = "rt_" + secrets.token_urlsafe(32)
        self.access_tokens[access] = (account, time.monotonic() + life)
        self.refresh_tokens[refresh] = account
        return {
            "access_token": access,
            "refresh_token": refresh,
            "id_token": jwt({"exp": expires, "email": account.email, CLAIMS: profile}),
            "token_type": "Bearer",
            "expires_in": life,
            "scope": "openid profile email offline_access",
        }


def jwt(claims: dict[str, Any]) -> str:
    """A token whose signature nobody can check."""
    parts = ({"alg": "RS256", "typ": "JWT", "kid": "sim"}, claims)
    head, body = (base64.urlsafe_b64encode(msgspec.json.encode(part)).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.simulated-signature"
