"""What ``flask doctor`` looks at: each check says what it found and, where something is wrong, how to mend it."""

from __future__ import annotations

import ipaddress
import resource
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.models.base import UtcDateTime, utcnow
from app.services import probe, resealing, schema, shared, upstreams
from app.services.context import context
from app.services.journal import unopened

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.models import Upstream

OK, WARNING, FAILED = "ok", "warning", "failed"
SPARE_DESCRIPTORS = 500
FEWEST_CONNECTIONS = 100
MOST_CONNECTIONS = 9_700
CLOCK_SKEW_S = 5


@dataclass(frozen=True, slots=True)
class Check:
    """What one look showed; a ``fatal`` one makes the rest pointless."""

    name: str
    state: str
    detail: str
    fix: str = ""
    fatal: bool = False

    @property
    def failed(self) -> bool:
        """Whether something must be mended."""
        return self.state == FAILED


def data_dir() -> list[Check]:
    folder = context().settings.data_dir.absolute()
    try:
        with tempfile.TemporaryFile(dir=folder):
            return [Check("data directory", OK, str(folder))]
    except OSError as error:
        fix = f"Let this user write to {folder}, or set REALMS_DATA_DIR to a folder that it may write to."
        return [Check("data directory", FAILED, f"{folder}: {error.strerror}", fix)]


def journal() -> list[Check]:
    refused = unopened(context().settings.data_dir.absolute() / "journal")
    if not refused:
        return [Check("journal", OK, "can be read")]
    fix = "Give these files to the user that runs Realms: the records in them are taken over within seconds."
    return [Check("journal", FAILED, "; ".join(refused), fix)]


def descriptors() -> list[Check]:
    limit, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = context().settings.worker_connections or min(MOST_CONNECTIONS, (limit - SPARE_DESCRIPTORS) // 2)
    needed = 2 * max(connections, FEWEST_CONNECTIONS) + SPARE_DESCRIPTORS
    detail = f"{limit} open files for {max(connections, 0)} connections per worker"
    if limit >= needed:
        return [Check("descriptors", OK, detail)]
    fix = f"Raise the limit of open files to {needed} (ulimit -n, LimitNOFILE=), or lower REALMS_WORKER_CONNECTIONS."
    return [Check("descriptors", FAILED, detail, fix)]


def public_url() -> list[Check]:
    url = context().settings.public_url
    if context().settings.https:
        return [Check("public URL", OK, url)]
    if _is_loopback(urlsplit(url).hostname or ""):
        return [Check("public URL", WARNING, f"{url} is http, which is fine on this machine alone")]
    fix = "Put TLS in front and set REALMS_PUBLIC_URL to the https address: tokens and passwords travel in clear."
    return [Check("public URL", FAILED, f"{url} is http", fix)]


def trusted_proxies() -> list[Check]:
    networks = context().settings.trusted_proxies
    if any(network.prefixlen == 0 for network in networks):
        fix = "Name the addresses of your proxies in REALMS_TRUSTED_PROXIES: as it is, anybody can claim any address."
        return [Check("trusted proxies", FAILED, "everybody is trusted", fix)]
    return [Check("trusted proxies", OK, ", ".join(map(str, networks)) or "none")]


def database() -> list[Check]:
    try:
        with db.engine.connect() as connection:
            now = None if context().settings.embedded else connection.scalar(select(func.now(type_=UtcDateTime)))
    except SQLAlchemyError as error:
        fix = "Start the database, or mend REALMS_DATABASE_URL."
        return [Check("database", FAILED, str(getattr(error, "orig", error)).strip(), fix, fatal=True)]
    checks = [Check("database", OK, db.engine.dialect.name)]
    if now is not None:
        skew = abs((utcnow() - now).total_seconds())
        fix = "Synchronise both clocks (NTP): expiry and sign-ins go by them."
        late = skew > CLOCK_SKEW_S
        checks.append(Check("clock", FAILED if late else OK, f"{skew:.1f} s from the database's", fix if late else ""))
    return checks


def migrations() -> list[Check]:
    if schema.is_behind(db.engine):
        return [Check("migrations", FAILED, "behind this release", "Run: flask db upgrade", fatal=True)]
    return [Check("migrations", OK, "as this release wants them")]


def redis() -> list[Check]:
    settings = context().settings
    if not settings.redis_url.get_secret_value():
        return [Check("Redis", OK, "none: enough for one worker on one host")]
    if trouble := shared.trouble(settings):
        fix = "Start it, or mend REALMS_REDIS_URL: until then each worker holds callers to its share of their limits."
        return [Check("Redis", FAILED, trouble, fix)]
    return [Check("Redis", OK, "answers")]


def vault() -> list[Check]:
    count, unopened = resealing.unopened()
    if not unopened:
        return [Check("vault", OK, f"its keys open all {count} secrets")]
    fix = "Set REALMS_VAULT_KEYS as it was when these were entered (all that it names are tried), or enter them again."
    return [Check("vault", FAILED, f"no key opens {len(unopened)} of {count} secrets: {', '.join(unopened)}", fix)]


def mail() -> list[Check]:
    post = context().mail
    if not post.offered:
        return [Check("mail", OK, "none is sent (REALMS_SMTP_URL)")]
    try:
        return [Check("mail", OK, post.reach())]
    except OSError as error:
        fix = "Start the mail server, or mend REALMS_SMTP_URL (smtps://, smtp:// with STARTTLS, smtp+plain://)."
        return [Check("mail", FAILED, f"{type(error).__name__}: {error}", fix)]


def reach() -> list[Check]:
    enabled = [upstream for upstream in upstreams.list_all() if upstream.enabled]
    if not enabled:
        return [
            Check(
                "upstreams", WARNING, "none is enabled", "Add one: flask upstreams add NAME --kind openai --key-stdin"
            )
        ]
    return [_reach(upstream) for upstream in enabled]


def _reach(upstream: Upstream) -> Check:
    last, name = probe.reach(upstream), upstream.name
    if last.ok:
        return Check(f"upstream {name}", OK, f"{last.detail} in {last.ms} ms")
    fix = f"Mend it in /admin and try again, or leave it out: flask upstreams disable {name}"
    return Check(f"upstream {name}", FAILED, f"{last.name}: {last.detail}", fix)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


CHECKS: tuple[Callable[[], list[Check]], ...] = (
    data_dir,
    journal,
    descriptors,
    public_url,
    trusted_proxies,
    redis,
    database,
    migrations,
    vault,
    mail,
    reach,
)
"""In this order; a fatal finding ends the examination."""
