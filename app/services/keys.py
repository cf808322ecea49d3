"""Derives one key for each purpose from a configured secret, so that no two purposes share one."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive(secret: str, purpose: str) -> bytes:
    """Return 32 bytes for ``purpose`` in URL-safe base64 (HKDF-SHA256, RFC 5869)."""
    raw = HKDF(SHA256(), length=32, salt=None, info=b"realms " + purpose.encode()).derive(secret.encode())
    return base64.urlsafe_b64encode(raw)


def mark(secret: str, purpose: str, value: str) -> str:
    """Return an opaque, unguessable mark of ``value``: 32 hex digits of a keyed hash."""
    return hmac.new(derive(secret, purpose), value.encode(), hashlib.sha256).hexdigest()[:32]


def peer_mark(secret: str, address: str) -> str:
    """Return what stands for a peer's address in the log and the audit: the same for the same address, and no more."""
    return mark(secret, "log", address)[:12]
