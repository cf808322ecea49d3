"""Every knob of Realms, typed and frozen, read once from the environment.

``python -m app.settings --check`` prints every problem at once and exits 78 (EX_CONFIG of sysexits.h).
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

VERSION = "0.1.0"
EXIT_CONFIG = 78
PREFIX = "REALMS_"
SECRET_NAMES = ("SECRET_KEY", "VAULT_KEYS", "DATABASE_URL", "REDIS_URL", "ADMIN_PASSWORD", "METRICS_TOKEN", "ALERT_URL")
NEEDED = ("secret_key", "vault_keys")
"""Secrets that nothing works without."""
SECRET_MIN = 32
DRIVERS = dict.fromkeys(("postgresql", "postgres"), "postgresql+psycopg")
DRIVERS |= dict.fromkeys(("mysql", "mariadb"), "mysql+pymysql")
"""What a plain database URL begins with, and what it stands for: drivers that wait cooperatively."""
MAKE_ONE = "make one with: openssl rand -base64 32"
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

    metrics_token: SecretStr = SecretStr("")
    metrics_allow: tuple[Network, ...] = ()
    alert_url: SecretStr = SecretStr("")

    # What it keeps
    data_dir: Path = Path("data")
    database_url: SecretStr = SecretStr("")
    redis_url: SecretStr = SecretStr("")
    migrate: bool | None = None
    secret_key: SecretStr = SecretStr("")
    vault_keys: SecretStr = SecretStr("")
    admin_email: str = ""
    admin_password: SecretStr = SecretStr("")

    # How long it keeps what it doesn't need; 0 is for ever
    records_days: int = Field(default=90, ge=0, le=36_500)
    audit_days: int = Field(default=730, ge=0, le=36_500)
    deleted_days: int = Field(default=90, ge=0, le=36_500)

    # What callers may send, and how long anyone may take
    body_max_mb: float = Field(default=32, gt=0, le=1024)
    body_s: float = Field(default=30, gt=0)
    heartbeat_s: float = Field(default=15, ge=0)
    write_s: float = Field(default=60, gt=0)
    connect_s: float = Field(default=10, gt=0)
    first_byte_s: float = Field(default=300, gt=0)
    stream_idle_s: float = Field(default=300, gt=0)
    stream_total_s: float = Field(default=3600, gt=0)
    auth_stale_max_s: float = Field(default=600, gt=0)

    # How it chooses among upstreams
    attempts_max: int = Field(default=4, ge=1, le=20)
    opening_s: float = Field(default=0.25, ge=0, le=60)
    cooldown_s: float = Field(default=30, ge=0, le=600)
    queue_wait_s: float = Field(default=0, ge=0, le=600)
    affinity_s: float = Field(default=3600, gt=0, le=604_800)

    # What it may reach
    egress_allow: tuple[Network, ...] = ()
    ca_file: Path | None = None
    codex_login_url: str = "https://auth.openai.com"

    @field_validator("trusted_proxies", "egress_allow", "metrics_allow", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        words = _words(value) if isinstance(value, str) else None
        return value if words is None else tuple(ipaddress.ip_network(word, strict=False) for word in words)

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

    @field_validator("public_url", "codex_login_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.query):
            raise ValueError("must be an http or https URL, for example https://realms.example.com")
        return value.rstrip("/")

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
        for part in _words(value.get_secret_value()):
            if len(part.encode()) < SECRET_MIN or part.lower() in EXAMPLES:
                raise ValueError(f"must be at least {SECRET_MIN} bytes; {MAKE_ONE}")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self._fill("public_url", self.public_url or f"http://{self.bind}")
        url = self.database_url.get_secret_value() or f"sqlite:///{self.data_dir.absolute()}/realms.db"
        self._fill("database_url", SecretStr(with_driver(url)))
        self._fill("workers", self.workers or 1)
        self._fill("migrate", self.embedded if self.migrate is None else self.migrate)
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


def with_driver(url: str) -> str:
    """Give a plain database URL the driver that works under gevent."""
    scheme, colon, rest = url.partition("://")
    return DRIVERS.get(scheme, scheme) + colon + rest


def load(environ: dict[str, str] | None = None) -> Settings:
    """Read the settings, secrets from ``REALMS_X_FILE`` included; missing secrets of the embedded default are made.

    Raises ``ConfigError`` that lists every problem.
    """
    env = dict(os.environ if environ is None else environ)
    problems = _read_secret_files(env)
    given = {name.removeprefix(PREFIX).lower(): value for name, value in env.items() if _is_setting(name)}
    settings, mistakes = _validated(given)
    problems += [f"{PREFIX}{name.upper()}: {told}" for name, told in mistakes.items()]
    problems += _obstacles(settings)
    missing = [name for name in NEEDED if name not in mistakes and not getattr(settings, name).get_secret_value()]
    if not settings.embedded:
        problems += [f"{PREFIX}{name.upper()}: is required with a database server; {MAKE_ONE}" for name in missing]
    elif not problems:
        problems += _provide(settings, missing)
    if problems:
        raise ConfigError(problems)
    return settings


def _validated(given: dict[str, str]) -> tuple[Settings, dict[str, str]]:
    """Return the settings, those that are wrong at their defaults, and what is wrong with them."""
    try:
        return Settings.model_validate(given), {}
    except ValidationError as error:
        mistakes = {str(item["loc"][0]): str(item["msg"]).removeprefix("Value error, ") for item in error.errors()}
    return Settings.model_validate({k: v for k, v in given.items() if k not in mistakes}), mistakes


def _obstacles(settings: Settings) -> list[str]:
    """Return what stands in the way although each setting is sound by itself."""
    problems = []
    if settings.embedded and settings.workers > 1:
        problems.append(
            f"{PREFIX}WORKERS: more than one needs PostgreSQL or MySQL: set {PREFIX}DATABASE_URL, or workers to 1"
        )
    elif settings.workers > 1 and not settings.redis_url.get_secret_value():
        problems.append(f"{PREFIX}WORKERS: more than one needs Redis: set {PREFIX}REDIS_URL, or workers to 1")
    if urlsplit(settings.alert_url.get_secret_value()).scheme not in {"", "http", "https"}:
        problems.append(f"{PREFIX}ALERT_URL: must be an http or https URL")
    if settings.ca_file is not None and not os.access(settings.ca_file, os.R_OK):
        problems.append(f"{PREFIX}CA_FILE: {settings.ca_file} can't be read")
    return problems


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


def _read_secret_files(env: dict[str, str]) -> list[str]:
    problems = []
    for name in SECRET_NAMES:
        path = env.get(f"{PREFIX}{name}_FILE")
        if path:
            try:
                env[PREFIX + name] = Path(path).read_text().strip()
            except OSError as error:
                problems.append(f"{PREFIX}{name}_FILE: {path}: {error.strerror}")
            except UnicodeDecodeError:
                problems.append(f"{PREFIX}{name}_FILE: {path}: is not text")
    return problems


def _provide(settings: Settings, names: list[str]) -> list[str]:
    """Create secrets once in the data directory of an embedded deployment; return what went wrong."""
    for name in names:
        try:
            value = _kept_secret(settings.data_dir / name)
        except (OSError, UnicodeDecodeError) as error:
            return [f"{PREFIX}DATA_DIR: {settings.data_dir / name}: {getattr(error, 'strerror', 'is not text')}"]
        if len(value.encode()) < SECRET_MIN:
            return [f"{PREFIX}{name.upper()}: {settings.data_dir / name} is no secret; delete it, or restore it"]
        settings._fill(name, SecretStr(value))  # noqa: SLF001 - frozen for everyone but this module
    return []


def _kept_secret(path: Path) -> str:
    """Return the secret in a file, made first where there is none; of two who make it at once, both get the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".secret-") as draft:  # mode 0600
            draft.write(secrets.token_urlsafe(48))
            draft.flush()
            with suppress(FileExistsError):
                os.link(draft.name, path)
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
