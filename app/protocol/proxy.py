"""Proxies that calls to an upstream go through: how they are named, and who Realms is to them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

SCHEMES = frozenset({"http", "https", "socks5", "socks5h"})
"""Either of the last two leaves names for the proxy to look up."""
LOGIN_PART_MAX = 255
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]{0,250}[a-z0-9])?|[0-9a-f:.]{2,45}")


class Proxy(msgspec.Struct, frozen=True):
    """One proxy; ``login`` is ``user:password``, empty where it wants none, and never shown."""

    scheme: str
    host: str
    port: int
    login: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def __repr__(self) -> str:
        return f"Proxy({self})"

    @property
    def under_tls(self) -> bool:
        """Whether it is itself spoken to under TLS."""
        return self.scheme == "https"

    @property
    def speaks_socks(self) -> bool:
        """Whether it speaks SOCKS5; the others are asked with CONNECT."""
        return self.scheme.startswith("socks")


def read(text: str) -> Proxy:
    """Return the proxy that an address names. Raises ``ValueError`` with a sentence on what is wrong with it."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or not port or parts.scheme not in SCHEMES:
        raise ValueError("write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT")
    if "@" in parts.netloc:
        raise ValueError("user and password don't stand in the address: they are entered beside it and kept sealed")
    proxy = Proxy(parts.scheme, host, port)
    if not text.isascii() or not _HOST.fullmatch(host) or str(proxy) != text.lower():
        raise ValueError("write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, and nothing after the port")
    return proxy


def is_login(text: str) -> bool:
    """Whether a text is a user and a password with a colon between, as every kind of proxy can take them."""
    user, colon, password = text.partition(":")
    parts = (user, password)
    return bool(colon and user and text.isascii() and text.isprintable()) and max(map(len, parts)) <= LOGIN_PART_MAX
