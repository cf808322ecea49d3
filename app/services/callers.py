"""Turns the credentials of a request into a caller: one way for every token, valid or not."""

from __future__ import annotations

import hashlib
import time

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from app.protocol.call import Caller
from app.protocol.errors import Problem, RelayError
from app.services.directory import Directory

PROVIDER_KEYS = ("sk-", "sk-ant-", "sess-", "gsk_", "AIza")
HELP = "Make a token in the Realms console under /tokens and send it as 'Authorization: Bearer sk_...'."


class Credentials(msgspec.Struct, frozen=True):
    """What a request brings to be known by: the digest of its token, and whether that looks like a provider's key."""

    digest: str
    provider_key: bool


def credentials(authorization: str | None, api_key: str | None) -> Credentials:
    """Return a request's credentials; ``authorization`` decides alone where it is present, else ``x-api-key``."""
    token = _bearer(authorization) if authorization is not None else (api_key or "")
    digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
    return Credentials(digest, token.startswith(PROVIDER_KEYS))


class Callers:
    """Authenticates API calls from the snapshot."""

    def __init__(self, directory: Directory, *, stale_max_s: float) -> None:
        self._directory = directory
        self._stale_max_s = stale_max_s

    def authenticate(self, given: Credentials, *, address: str = "", client: str = "") -> Caller:
        """Return the caller.

        Raises ``RelayError``: 401, the same for missing, malformed, unknown, revoked and expired tokens and disabled
        users; 403 for a good token at an ``address`` that it may not be used from; 503 where the database would have
        to be asked and is away. ``client`` is what the program calls itself, kept as the token's last one.
        """
        if self._directory.age_s() > self._stale_max_s:
            raise RelayError(Problem.OVERLOADED, "Realms can't check tokens now; try again later.", retry_after=5)
        try:
            caller = self._directory.caller(given.digest)
        except (SQLAlchemyError, OSError):
            message = "Realms can't check this token now; try again later."
            raise RelayError(Problem.OVERLOADED, message, retry_after=5) from None
        if caller is None or (caller.expires_at is not None and caller.expires_at <= time.time_ns() / 1e9):
            raise _refused(given)
        if caller.networks and not caller.may_come_from(address):
            raise RelayError(
                Problem.WRONG_ADDRESS, f"This token may not be used from {address}. Change its IP ranges under /tokens."
            )
        self._directory.used(caller.token_id, client)
        return caller


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _refused(given: Credentials) -> RelayError:
    if given.provider_key:
        return RelayError(Problem.INVALID_API_KEY, f"This looks like a provider's own key. {HELP}")
    return RelayError(Problem.INVALID_API_KEY, f"Invalid token. {HELP}")
