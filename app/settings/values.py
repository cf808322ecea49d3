"""How single values are written in the environment, and the words that every topic needs."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PREFIX = "REALMS_"
MAKE_ONE = "make one with: openssl rand -base64 32"
DRIVERS = dict.fromkeys(("postgresql", "postgres"), "postgresql+psycopg")
DRIVERS |= dict.fromkeys(("mysql", "mariadb"), "mysql+pymysql")
"""What a plain database URL begins with, and what it stands for: drivers that wait cooperatively."""


class Topic(BaseModel):
    """Settings that belong together: once read, they stay as they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def words(value: str) -> list[str]:
    """Return what a list holds: commas or blanks stand between."""
    return [part for part in value.replace(",", " ").split() if part]


def networks(value: Any) -> Any:
    """Return the networks that a text lists; what is no text is pydantic's to judge."""
    return tuple(ipaddress.ip_network(word, strict=False) for word in words(value)) if isinstance(value, str) else value


def http_url(value: str) -> str:
    """Return a URL that browsers open, or nothing, without a slash at its end. Raises ``ValueError``."""
    parts = urlsplit(value)
    if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
        raise ValueError("must be an http or https URL, for example https://realms.example.com")
    return value.rstrip("/")


def with_driver(url: str) -> str:
    """Give a plain database URL the driver that works under gevent."""
    scheme, colon, rest = url.partition("://")
    return DRIVERS.get(scheme, scheme) + colon + rest
