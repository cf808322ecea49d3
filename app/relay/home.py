"""Where Realms itself lives: no upstream leads to its own address, nor to a port that a database listens at.

An upstream is an address that an administrator entered. One that leads back here would call itself until every
connection is taken; one that leads to a database would speak to it from inside, with a body that a caller wrote.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from app.settings import Settings

DATABASES = frozenset({3306, 5432, 6379})
"""Where MySQL, PostgreSQL and Redis listen, and no provider does."""
IP = ipaddress.IPv4Address | ipaddress.IPv6Address


class Home:
    """Tells which origins are our own."""

    def __init__(self, settings: Settings) -> None:
        urls = (settings.database_url.get_secret_value(), settings.redis_url.get_secret_value())
        self._ports = DATABASES | {port for port in map(_port, urls) if port}
        public, bound = urlsplit(settings.public_url), urlsplit(f"//{settings.bind}")
        default = 443 if public.scheme == "https" else 80
        self._names = {(public.hostname, public.port or default), (bound.hostname, bound.port)}
        self._bound = bound.port

    def objection(self, host: str, port: int) -> str | None:
        """Return why an origin can't be an upstream, by its name alone, or nothing."""
        if port in self._ports:
            return f"port {port} is a database's, not a provider's"
        return "this is Realms' own address" if (host, port) in self._names else None

    def is_at(self, address: IP, port: int) -> bool:
        """Whether this address of a name is one that this server itself is bound to on its machine."""
        return port == self._bound and (address.is_loopback or address.is_unspecified)


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None
