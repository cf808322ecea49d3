"""How it sends mail, where it may."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator

from app.settings.values import Topic

SCHEMES = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
"""TLS from the first byte, TLS before anything else is said, none at all; and the port where none is named."""


class Mailing(Topic):
    """A mail server and the address that mail comes from; without them nothing is sent."""

    smtp_url: SecretStr = SecretStr("")
    mail_from: str = ""

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        parts = urlsplit(url)
        known = parts.scheme in SCHEMES and parts.hostname and parts.port != 0
        if url and (not known or parts.path.strip("/") or parts.query):
            raise ValueError("must be smtps://, smtp:// or smtp+plain:// with user, password, host and port")
        return value

    @field_validator("mail_from")
    @classmethod
    def _sender(cls, value: str) -> str:
        name, at, domain = value.partition("@")
        if value and not (name and at and domain and value.isprintable() and " " not in value and "," not in value):
            raise ValueError("must be an address, for example realms@example.com")
        return value
