"""A Realms to be measured: one worker, everything on, twenty models at an OpenAI and an Anthropic upstream."""

from __future__ import annotations

import http.client
import os
import secrets
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from app import create_app
from app.extensions import db
from app.protocol.limit import Measure
from app.protocol.price import Rates, Tariff
from app.services import accounts, allowances, catalog, prices, schema, tokens, upstreams
from app.settings import Settings
from bench.cases import MODELS
from bench.processes import START_S, Target, free_port, running

ROOT = Path(__file__).parents[1]
SERVER = os.environ.get("REALMS_TEST_POSTGRESQL", "postgresql://root@127.0.0.1:5432/postgres")
ROUTES = 20


@contextmanager
def house(
    upstream_port: int,
    folder: Path,
    *,
    database: str,
    name: str = "realms",
    limited: bool = False,
    server: str = "ours",
    without: tuple[str, ...] = (),
):
    """A running Realms that knows one token, given as ``target.token``; its user may have every limit, each far off.

    ``server`` may also be "gevent", gunicorn's own worker, or "flask", the same with Flask's blueprints as the door;
    ``without`` names parts to be left out.
    """
    folder = folder / name
    folder.mkdir()
    with _database(database, folder) as url:
        port = free_port()
        settings = settings_for(port, folder, url)
        fast = "0" if server == "flask" else "1"
        environment = _environment(settings) | {"REALMS_FAST": fast, "BENCH_WITHOUT": ",".join(without)}
        token = furnish(settings, upstream_port, limited=limited)
        more = ["-c", "bench/gevent_conf.py"] if server == "gevent" else []
        command = [sys.executable, "-m", "gunicorn", *more, "bench.without:app" if without else "wsgi:app"]
        log = folder / "log"
        with running(name, port, command, log=log, env=environment, cwd=ROOT) as target:
            _wait_ready(target, log)
            target.token = token
            yield target


def settings_for(port: int, folder: Path, url: str) -> Settings:
    return Settings(
        bind=f"127.0.0.1:{port}",
        data_dir=folder,
        database_url=SecretStr(url),
        secret_key=SecretStr(secrets.token_hex(32)),
        vault_keys=SecretStr(secrets.token_hex(32)),
        workers=1,
        drain_s=2,
        egress_allow="127.0.0.0/8",
    )


def _environment(settings: Settings) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("REALMS_")} | {
        "REALMS_BIND": settings.bind,
        "REALMS_DATA_DIR": str(settings.data_dir),
        "REALMS_DATABASE_URL": settings.database_url.get_secret_value(),
        "REALMS_SECRET_KEY": settings.secret_key.get_secret_value(),
        "REALMS_VAULT_KEYS": settings.vault_keys.get_secret_value(),
        "REALMS_WORKERS": "1",
        "REALMS_DRAIN_S": "2",
        "REALMS_EGRESS_ALLOW": "127.0.0.0/8",
    }


def furnish(settings: Settings, upstream_port: int, *, limited: bool = False) -> str:
    """Migrate, and put in an upstream of each kind, twenty models and a person; return the person's token."""
    with create_app(settings).app_context():
        schema.upgrade()
        base = f"http://127.0.0.1:{upstream_port}"
        more = {"key": "sk-upstream", "priority": 0, "weight": 1, "actor": None}
        chat = upstreams.create(name="main", kind="openai", base_url=f"{base}/v1", **more).id
        claude = upstreams.create(name="claude", kind="anthropic", base_url=base, **more).id
        names = [*MODELS, *(f"filler-{n}" for n in range(ROUTES - len(MODELS)))]
        catalog.import_models(chat, {name: None for name in names if not name.startswith("claude")}, actor=None)
        catalog.import_models(claude, {name: None for name in names if name.startswith("claude")}, actor=None)
        user = accounts.create_user(email="bench@example.com", password=secrets.token_hex(16), actor=None)
        token = tokens.mint(user, name="bench", actor=user).secret
        if limited:
            _limit(user.id)
        db.session.remove()
        db.engine.dispose()
    return token


def _limit(user_id: int) -> None:
    for model in catalog.list_models():
        prices.put(model.id, Tariff(Rates(input=10**9, output=10**9)), actor=None)
    far = {measure: 10**17 if measure.is_money else 10**9 for measure in Measure}
    allowances.put("user", user_id, most=far, actor=None)


def _wait_ready(target: Target, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and target.process.poll() is None:
        with suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", target.port, timeout=5)) as connection:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise RuntimeError("Realms did not start\n" + log.read_text()[-2000:])


@contextmanager
def _database(kind: str, folder: Path):
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'realms.db'}"
        return
    name = sql.Identifier(f"realms_bench_{os.getpid()}_{secrets.token_hex(4)}")
    with psycopg.connect(SERVER, autocommit=True, connect_timeout=5) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            info = server.info
            yield f"postgresql+psycopg://{info.user}:{info.password}@{info.host}:{info.port}/{name.as_string()[1:-1]}"
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
