"""Every knob of Realms, typed and frozen, read once from the environment.

``python -m app.settings --check`` prints every problem at once and exits 78 (EX_CONFIG of sysexits.h).
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import secrets
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

VERSION = "0.1.0"
EXIT_CONFIG = 78
PREFIX = "REALMS_"
SECRET_NAMES = ("SECRET_KEY", "VAULT_KEYS", "DATABASE_URL", "ADMIN_PASSWORD")
CLIENT_NAMES = frozenset({"REALMS_TOKEN"})
"""Names that belong to clients on the same machine; the server knows and ignores them."""
EXAMPLES = frozenset({"changeme", "change-me", "secret", "password", "your-secret-key"})


class Settings(BaseModel):
    """What one deployment runs with. Units stand in the names; secrets never show in ``repr``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Where it runs
    bind: str = "127.0.0.1:8080"
    public_url: str = ""
    workers: int = Field(default=0, ge=0, le=256)
    worker_connections: int = Field(default=0, ge=0, le=1_000_000)
    keepalive_s: int = Field(default=5, ge=1, le=3600)
    drain_s: float = Field(default=595, ge=0.1, le=86_400)
    fast: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    cors_origins: tuple[str, ...] = ()

    # What it keeps
    data_dir: Path = Path("data")
    database_url: SecretStr = SecretStr("")
    migrate: bool | None = None
    secret_key: SecretStr = SecretStr("")
    vault_keys: SecretStr = SecretStr("")
    admin_email: str = ""
    admin_password: SecretStr = SecretStr("")

    # What callers may send, and how long anyone may take
    body_max_mb: float = Field(default=32, gt=0, le=1024)
    body_s: float = Field(default=30, gt=0)
    write_s: float = Field(default=60, gt=0)
    connect_s: float = Field(default=10, gt=0)
    first_byte_s: float = Field(default=300, gt=0)
    stream_idle_s: float = Field(default=300, gt=0)
    stream_total_s: float = Field(default=3600, gt=0)
    auth_stale_max_s: float = Field(default=600, gt=0)

    # What it may reach
    egress_allow: tuple[Network, ...] = ()
    ca_file: Path | None = None

    @field_validator("trusted_proxies", "egress_allow", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(ipaddress.ip_network(part, strict=False) for part in _words(value))

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: Any) -> Any:
        return tuple(_words(value)) if isinstance(value, str) else value

    @field_validator("bind")
    @classmethod
    def _host_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError("must be host:port, for example 127.0.0.1:8080")
        return value

    @field_validator("public_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
            raise ValueError("must be an http or https URL, for example https://realms.example.com")
        return value.rstrip("/")

    @field_validator("secret_key", "vault_keys")
    @classmethod
    def _strong(cls, value: SecretStr) -> SecretStr:
        for part in _words(value.get_secret_value()):
            if len(part.encode()) < 32 or part.lower() in EXAMPLES:
                raise ValueError("must be at least 32 bytes; make one with: openssl rand -base64 32")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self._fill("public_url", self.public_url or f"http://{self.bind}")
        url = self.database_url.get_secret_value() or f"sqlite:///{self.data_dir.absolute()}/realms.db"
        self._fill("database_url", SecretStr(_with_driver(url)))
        self._fill("workers", self.workers or 1)
        self._fill("migrate", self.embedded if self.migrate is None else self.migrate)
        if self.embedded and self.workers > 1:
            raise ValueError("REALMS_WORKERS above 1 needs PostgreSQL: set REALMS_DATABASE_URL, or workers to 1")
        return self

    def _fill(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @property
    def embedded(self) -> bool:
        """Whether the database is SQLite, the default that needs no server."""
        return self.database_url.get_secret_value().startswith("sqlite")

    @property
    def https(self) -> bool:
        """Whether people reach this server under an https address."""
        return self.public_url.startswith("https://")

    @property
    def body_max_bytes(self) -> int:
        """The largest request body, in bytes, before and after decompression."""
        return int(self.body_max_mb * 1024 * 1024)


def _words(value: str) -> list[str]:
    return [part for part in value.replace(",", " ").split() if part]


def _with_driver(url: str) -> str:
    """Give a plain database URL the driver that works under gevent."""
    for plain, driver in (("postgresql://", "postgresql+psycopg://"), ("postgres://", "postgresql+psycopg://")):
        if url.startswith(plain):
            return driver + url.removeprefix(plain)
    return url


def load(environ: dict[str, str] | None = None) -> Settings:
    """Read the settings, secrets from ``REALMS_X_FILE`` included; missing secrets of the embedded default are made.

    Raises ``ConfigError`` that lists every problem.
    """
    env = dict(os.environ if environ is None else environ)
    problems = _read_secret_files(env)
    try:
        settings = Settings.model_validate(
            {k.removeprefix(PREFIX).lower(): v for k, v in env.items() if _is_setting(k)}
        )
    except ValidationError as error:
        raise ConfigError(problems + [_told(item) for item in error.errors()]) from None
    if not problems:
        problems = _provide_secrets(settings)
    if problems:
        raise ConfigError(problems)
    return settings


class ConfigError(Exception):
    """A configuration that can't be run; ``problems`` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def unknown_names(environ: dict[str, str] | None = None) -> list[str]:
    """One warning for each ``REALMS_*`` name that no setting has, with the nearest that one does."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {PREFIX + name + "_FILE" for name in SECRET_NAMES}
    warnings = []
    for name in sorted(os.environ if environ is None else environ):
        if name.startswith(PREFIX) and name not in known | CLIENT_NAMES:
            near = difflib.get_close_matches(name, known, n=1)
            warnings.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else "."))
    return warnings


def _is_setting(name: str) -> bool:
    return name.startswith(PREFIX) and name.removeprefix(PREFIX).lower() in Settings.model_fields


def _told(item: Any) -> str:
    name = PREFIX + str(item["loc"][0]).upper() + ": " if item["loc"] else ""
    return name + str(item["msg"]).removeprefix("Value error, ")


def _read_secret_files(env: dict[str, str]) -> list[str]:
    problems = []
    for name in SECRET_NAMES:
        path = env.get(f"{PREFIX}{name}_FILE")
        if path:
            try:
                env[PREFIX + name] = Path(path).read_text().strip()
            except OSError as error:
                problems.append(f"{PREFIX}{name}_FILE: {path}: {error.strerror}")
    return problems


def _provide_secrets(settings: Settings) -> list[str]:
    """Create the two secrets once in the data directory of an embedded deployment; ask for them elsewhere."""
    problems = []
    for name in ("secret_key", "vault_keys"):
        if getattr(settings, name).get_secret_value():
            continue
        if not settings.embedded:
            problems.append(f"{PREFIX}{name.upper()}: is required with a database server; openssl rand -base64 32")
            continue
        try:
            value = _kept_secret(settings.data_dir / name)
        except OSError as error:
            problems.append(f"{PREFIX}DATA_DIR: {settings.data_dir}: {error.strerror}")
            continue
        settings._fill(name, SecretStr(value))  # noqa: SLF001 - frozen for everyone but this module
    return problems


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text().strip()


def check() -> int:
    """Print what is wrong with the environment; 0 when it can be run, else 78."""
    for warning in unknown_names():
        sys.stderr.write(f"warning: {warning}\n")
    try:
        load()
    except ConfigError as error:
        sys.stderr.write("Realms can't start:\n" + "".join(f"  - {line}\n" for line in error.problems))
        return EXIT_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(check())
