"""Shows a new secret once: it waits, encrypted, in the session cookie for the page after the redirect."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from flask import session

from app.services.context import context
from app.services.keys import derive

KEY = "reveal"
FOR = "token"
SHOWN_S = 300
FORM_S = 3600


def keep(secret: str, what: str = FOR) -> None:
    """Keep ``secret`` for the next page of this browser, at most five minutes."""
    session[KEY] = _box(f"{what} reveal").encrypt(secret.encode()).decode()


def take(what: str = FOR) -> str | None:
    """Return the kept secret and forget it; ``None`` when there is none of that kind, or no longer."""
    return _opened(f"{what} reveal", session.pop(KEY, None), ttl=SHOWN_S)


def seal(secret: str, what: str = FOR) -> str:
    """Return a secret-to-be for a hidden field, so that a form sent twice speaks of one secret."""
    return _box(f"{what} form").encrypt(secret.encode()).decode()


def unseal(sealed: str | None, what: str = FOR) -> str | None:
    """Return the secret-to-be of a form that was made here within the last hour, else ``None``."""
    return _opened(f"{what} form", sealed, ttl=FORM_S)


def _opened(purpose: str, sealed: object, *, ttl: int) -> str | None:
    if not isinstance(sealed, str):
        return None
    try:
        return _box(purpose).decrypt(sealed.encode(), ttl=ttl).decode()
    except InvalidToken:
        return None


def _box(purpose: str) -> MultiFernet:
    return MultiFernet([Fernet(derive(key, purpose)) for key in context().settings.signing_keys])
