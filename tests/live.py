"""A whole Realms: gunicorn and the simulated provider in processes of their own, a database, and people with tokens.

`open_house` is for tests that need one to themselves (kills, drains, other settings); the fixtures in `tests/live`
share one for each database.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask
from psycopg.rows import dict_row
from pydantic import SecretStr
from sqlalchemy import text

from app import create_app
from app.extensions import db
from app.services import accounts, catalog, tokens, upstreams
from app.services.context import context
from app.settings import Settings
from tests import databases, watched
from tests.ports import free_port

ROOT = Path(__file__).parents[1]
PASSWORD = "correct horse battery staple"
SECRET_KEY = "a-key-for-tests-that-is-long-enough-to-pass"
VAULT_KEY = "a-vault-key-for-tests-long-enough-as-well"
START_S = 180.0
"""It only tells a start that hangs from one on a busy machine."""


def until(check: Callable[[], Any], *, seconds: float = 10.0, every: float = 0.01) -> Any:
    """Return what `check` returns once it is true; fail when that never happens."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(every)
    raise AssertionError(f"it never came true within {seconds} s: {check}")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
    """One request on a connection of its own; a dict or list as `body` goes as JSON."""
    sent = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        sent.setdefault("content-type", "application/json")
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body=body, headers=sent)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())


@dataclass
class Provider:
    """The simulated provider; everything but `/_control` is as at the real ones."""

    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def control(self, method: str, path: str, body: Any = None) -> Any:
        return ask(self.port, method, f"/_control/{path}", body=body).json()

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """What reached it after request number `since`."""
        found: list[dict[str, Any]] = self.control("GET", f"requests?since={since}")
        return found

    def count(self) -> int:
        """The number of the last request that reached it."""
        return max((request["n"] for request in self.requests()), default=0)


@dataclass
class House:
    """A running Realms."""

    port: int
    process: subprocess.Popen[bytes]
    settings: Settings
    log: Path
    provider: Provider
    app: Any
    tokens: dict[str, str] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    upstreams: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, *, who: str = "alice", body: Any = None, **headers: str) -> Answer:
        """One request with somebody's token; header names with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent.setdefault("authorization", f"Bearer {self.tokens[who]}")
        return ask(self.port, method, path, body=body, headers=sent)

    def post(self, path: str, body: Any, **more: Any) -> Answer:
        return self.ask("POST", path, body=body, **more)

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of the database, read past the application."""
        url = self.settings.database_url.get_secret_value()
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(row) for row in connection.execute(query)]
        if url.startswith("mysql"):
            with self.app.app_context():
                return [dict(row) for row in db.session.execute(text(query)).mappings()]
        with psycopg.connect(url.replace("+psycopg", ""), row_factory=dict_row) as server:
            return server.execute(query).fetchall()  # type: ignore[arg-type]

    def record(self, request_id: str) -> dict[str, Any]:
        """The record of a request, once it is there."""
        query = f"SELECT * FROM records WHERE request_id = '{request_id}'"
        found: dict[str, Any] = until(lambda: self.rows(query))[0]
        return found

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the log that Realms itself has written; each must be whole JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def workers(self) -> list[int]:
        """The pids of the worker processes."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def changed(self, change: Callable[[], Any]) -> Any:
        """Make a change of configuration beside the running server, and wait until its workers have it."""
        with self.app.app_context():
            result = change()
            db.session.remove()
        time.sleep(1.0)  # the promise of api.md: in force within 1 s
        return result


@contextmanager
def open_provider() -> Iterator[Provider]:
    """Start the simulated provider."""
    command = [sys.executable, "-m", "simulator", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield Provider(int(line.rpartition(":")[2]), process)
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def open_house(
    folder: Path,
    database_url: str,
    provider: Provider,
    *,
    beside: House | None = None,
    host: str = "127.0.0.1",
    behind: Sequence[str] = (),
    config: str = "tests/gunicorn_watched.py",
    **environment: str,
) -> Iterator[House]:
    """Start a Realms with people, upstreams and models; `environment` names settings without their prefix.

    `behind` is a command that gives way to it, having changed something about its process; `config` is gunicorn's.
    With `beside` it is another host of that one's deployment: what the database holds is there already.
    Nobody is left out after failures unless a test asks for it: most tests share an upstream, and many make it fail.
    """
    environment = {"cooldown_s": "0", "egress_allow": "127.0.0.0/8"} | environment
    port = free_port()
    settings = Settings(
        bind=f"{host}:{port}",
        data_dir=folder,
        database_url=SecretStr(database_url),
        secret_key=SecretStr(SECRET_KEY),
        vault_keys=SecretStr(VAULT_KEY),
        **{name.lower(): value for name, value in environment.items() if name.lower() in Settings.model_fields},
    )
    app = create_app(settings)
    env = {name: value for name, value in os.environ.items() if not name.startswith("REALMS_")} | {
        "REALMS_BIND": settings.bind,
        "REALMS_DATA_DIR": str(folder),
        "REALMS_DATABASE_URL": database_url,
        "REALMS_SECRET_KEY": SECRET_KEY,
        "REALMS_VAULT_KEYS": VAULT_KEY,
        **{f"REALMS_{name.upper()}": value for name, value in environment.items()},
    }
    log = folder / "realms.log"
    with log.open("wb") as out:
        # As the README starts it, but that each worker is watched.
        command = [*behind, Path(sys.executable).with_name("gunicorn"), "-c", config, "wsgi:app"]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
    house = House(port, process, settings, log, provider, app)
    try:
        if beside is None:
            with app.app_context():
                _furnish(house)
        else:
            house.tokens, house.users, house.upstreams = beside.tokens, beside.users, beside.upstreams
        until(lambda: _ready(house), seconds=START_S, every=0.05)
        yield house
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(settings.drain_s + 15 if settings.drain_s < 30 else 15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        let_go(app)
    assert not (found := watched.troubles(folder)), found


def let_go(app: Flask) -> None:
    """Close what an application in this process keeps open: connections to its database and to its upstreams."""
    with app.app_context():
        context().egress.session.close()
        db.engine.dispose()


def _ready(house: House) -> bool:
    if house.process.poll() is not None:
        raise AssertionError(house.log.read_text())
    try:
        return ask(house.port, "GET", "/readyz").status == 200
    except OSError:
        return False


def _furnish(house: House) -> None:
    """People: alice (two tokens), bob, carol, an admin. Upstreams: main and second (OpenAI), claude (Anthropic).

    Models: `sim-*` at main, `other-*` at second, `renamed` at main as `sim-1`, `claude-*` at claude.
    """
    for name in ("admin", "alice", "bob", "carol"):
        role = "admin" if name == "admin" else "user"
        user = accounts.create_user(email=f"{name}@example.com", password=PASSWORD, role=role, actor=None)
        house.users[name] = user.id
        house.tokens[name] = tokens.mint(user, name="first", actor=user).secret
        if name == "alice":
            house.tokens["alice2"] = tokens.mint(user, name="second", actor=user).secret
    base = house.provider.url
    for name, kind, url, priority in (
        ("main", "openai", f"{base}/v1", 10),
        ("second", "openai", f"{base}/v1", 0),
        ("claude", "anthropic", base, 0),
    ):
        upstream = upstreams.create(
            name=name, kind=kind, base_url=url, key=f"sim-{name}", priority=priority, weight=1, actor=None
        )
        house.upstreams[name] = upstream.id
    for name, wanted in (
        ("main", {"sim-*": None, "renamed": "sim-1"}),
        ("second", {"other-*": None}),
        ("claude", {"claude-*": None}),
    ):
        catalog.import_models(house.upstreams[name], wanted, actor=None)
    db.session.remove()


@contextmanager
def database(kind: str, folder: Path, name: str) -> Iterator[str]:
    """Yield the URL of a migrated, empty database of a kind."""
    if kind == "sqlite":
        with databases.sqlite_template(folder) as path:
            yield f"sqlite:///{path}"
    else:
        make = databases.postgresql_database if kind == "postgresql" else databases.mysql_database
        with make(name) as url:
            databases.migrate(url)
            yield url
