"""Seals secrets at rest, each together with the origin it was entered for."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.services.keys import derive


class VaultError(Exception):
    """A sealed secret that can't be used: the wrong vault key, or another origin."""


class _Content(msgspec.Struct, frozen=True):
    origin: str
    secret: str


class Vault:
    """Seals and opens secrets; the first key seals, every key opens, so that keys can be rotated."""

    def __init__(self, keys: list[str]) -> None:
        self._fernet = MultiFernet([Fernet(derive(key, "vault")) for key in keys])

    def seal(self, secret: str, *, origin: str) -> bytes:
        """Return ``secret`` encrypted, good for ``origin`` alone (scheme, host and port of a URL)."""
        return self._fernet.encrypt(msgspec.json.encode(_Content(origin_of(origin), secret)))

    def open(self, sealed: bytes, *, origin: str) -> str:
        """Return the secret. Raises ``VaultError`` for another origin than it was sealed for, or another key."""
        try:
            content = msgspec.json.decode(self._fernet.decrypt(sealed), type=_Content)
        except InvalidToken:
            raise VaultError("this secret was sealed with another vault key; enter it again") from None
        if content.origin != origin_of(origin):
            raise VaultError("this secret was entered for another address; enter it again")
        return content.secret

    def opens(self, sealed: bytes) -> bool:
        """Whether one of the keys opens a secret, wherever it may be sent then."""
        try:
            self._fernet.decrypt(sealed)
        except InvalidToken:
            return False
        return True

    def rotate(self, sealed: bytes) -> bytes:
        """Return the same secret sealed with the first key. Raises ``VaultError`` when no key opens it."""
        try:
            return self._fernet.rotate(sealed)
        except InvalidToken:
            raise VaultError("this secret was sealed with another vault key; enter it again") from None


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL in one canonical form, the port always written."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"
