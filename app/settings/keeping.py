"""What it keeps, where, and for how long."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from app.settings.values import MAKE_ONE, Topic, words

SECRET_MIN = 32
EXAMPLES = frozenset({"changeme", "change-me", "secret", "password", "your-secret-key"})


class Keeping(Topic):
    """The databases, the secrets and the first administrator; days, of which 0 is for ever."""

    data_dir: Path = Path("data")
    database_url: SecretStr = SecretStr("")
    redis_url: SecretStr = SecretStr("")
    migrate: bool | None = None
    secret_key: SecretStr = SecretStr("")
    vault_keys: SecretStr = SecretStr("")
    admin_email: str = ""
    admin_password: SecretStr = SecretStr("")

    records_days: int = Field(default=90, ge=0, le=36_500)
    audit_days: int = Field(default=730, ge=0, le=36_500)
    deleted_days: int = Field(default=90, ge=0, le=36_500)

    @property
    def signing_keys(self) -> list[str]:
        """The secret keys: the first signs, and what an earlier one signed is still good."""
        return words(self.secret_key.get_secret_value())

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url and urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("must be a Redis URL, for example redis://127.0.0.1:6379/0")
        return value

    @field_validator("secret_key", "vault_keys")
    @classmethod
    def _strong(cls, value: SecretStr) -> SecretStr:
        for part in words(value.get_secret_value()):
            if len(part.encode()) < SECRET_MIN or part.lower() in EXAMPLES:
                raise ValueError(f"must be at least {SECRET_MIN} bytes; {MAKE_ONE}")
        return value
