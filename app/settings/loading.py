"""Reads the settings from the environment, and tells everything that is wrong with it at once."""

from __future__ import annotations

import difflib
import os
import secrets
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from app.settings.keeping import SECRET_MIN
from app.settings.values import MAKE_ONE, PREFIX
from app.settings.whole import Settings

EXIT_CONFIG = 78
SECRET_NAMES = (
    "SECRET_KEY",
    "VAULT_KEYS",
    "DATABASE_URL",
    "REDIS_URL",
    "ADMIN_PASSWORD",
    "METRICS_TOKEN",
    "ALERT_URL",
    "SMTP_URL",
)
NEEDED = ("secret_key", "vault_keys")
"""Secrets that nothing works without."""
CLIENT_NAMES = frozenset({"REALMS_TOKEN"})
"""Names that belong to clients on the same machine; the server knows and ignores them."""


class ConfigError(Exception):
    """A configuration that can't be run; ``problems`` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


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
    if settings.smtp_url.get_secret_value() and not settings.mail_from:
        problems.append(f"{PREFIX}MAIL_FROM: is required with {PREFIX}SMTP_URL: the address that mail comes from")
    if settings.ca_file is not None and not os.access(settings.ca_file, os.R_OK):
        problems.append(f"{PREFIX}CA_FILE: {settings.ca_file} can't be read")
    return problems


def named(name: str) -> str | None:
    """Return a value of the environment that a configuration file refers to."""
    return os.environ.get(name)


def traces_wanted() -> bool:
    """Return whether the environment names a receiver of traces, in OpenTelemetry's own words."""
    told = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in told)


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
        settings.fill(name, SecretStr(value))
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
