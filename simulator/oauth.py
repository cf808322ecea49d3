"""The OAuth server of the Codex backend: sign-in by code with PKCE, and refresh tokens that work once."""

import base64
import hashlib
import secrets
import urllib.parse
from typing import Any

import msgspec

from simulator.answer import Answer, json_answer
from simulator.codex_accounts import CodexAccounts, SignIn
from simulator.http import Request

REDIRECT_URI = "http://localhost:1455/auth/callback"


class OAuthError(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.answer = json_answer({"error": error, "error_description": description}, 400)


def authorize(accounts: CodexAccounts, request: Request) -> Answer:
    """Sign in at once, as `login_hint` or as user@example.com, and send the browser back with a code."""
    query = dict(urllib.parse.parse_qsl(request.query, keep_blank_values=True))
    if query.get("redirect_uri") != REDIRECT_URI:
        raise OAuthError("invalid_request", "redirect_uri is not registered")
    if query.get("response_type") != "code" or query.get("code_challenge_method") != "S256":
        raise OAuthError("invalid_request", "response_type must be code, code_challenge_method S256")
    code = "ac_" + secrets.token_urlsafe(24)
    accounts.codes[code] = SignIn(
        accounts.account(query.get("login_hint", "user@example.com")),
        query.get("code_challenge", ""),
        REDIRECT_URI,
        query.get("client_id", ""),
    )
    back = urllib.parse.urlencode({"code": code, "state": query.get("state", "")})
    return Answer(302, headers=b"location: %b?%b\r\n" % (REDIRECT_URI.encode(), back.encode()))


def token(accounts: CodexAccounts, request: Request) -> Answer:
    form = _form(request)
    grant = form.get("grant_type")
    if grant == "authorization_code":
        return json_answer(_redeem(accounts, form))
    if grant == "refresh_token":
        return json_answer(_refresh(accounts, form))
    raise OAuthError("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")


def _form(request: Request) -> dict[str, Any]:
    """The body, as a form or as JSON."""
    if "json" in (request.header("content-type") or ""):
        try:
            return msgspec.json.decode(request.body, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise OAuthError("invalid_request", "the body is not JSON") from error
    return dict(urllib.parse.parse_qsl(request.body.decode("latin-1")))


def _redeem(accounts: CodexAccounts, form: dict[str, Any]) -> dict[str, Any]:
    sign_in = accounts.codes.pop(str(form.get("code")), None)
    if sign_in is None:
        raise OAuthError("invalid_grant", "the code is unknown or was used")
    digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
    if base64.urlsafe_b64encode(digest).decode().rstrip("=") != sign_in.challenge:
        raise OAuthError("invalid_grant", "the code_verifier does not match")
    if (form.get("redirect_uri"), form.get("client_id")) != (sign_in.redirect_uri, sign_in.client_id):
        raise OAuthError("invalid_grant", "redirect_uri or client_id do not match")
    return accounts.issue(sign_in.account)


def _refresh(accounts: CodexAccounts, form: dict[str, Any]) -> dict[str, Any]:
    accounts.refreshes += 1
    account = accounts.refresh_tokens.pop(str(form.get("refresh_token")), None)
    if account is None:
        raise OAuthError("invalid_grant", "Your refresh token has already been used to generate a new access token.")
    return accounts.issue(account)
