"""``make demo``: a Realms with a simulated provider behind it, people, a token and models, and commands to try at once.

Everything is made anew at each start, in a data directory of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, NamedTuple

from app import create_app, settings, start
from app.console import snippets
from app.services import accounts, catalog, schema, setup, tokens, upstreams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.settings import Settings

ROOT = Path(__file__).parents[1]
UPSTREAMS = (
    ("simulated-openai", "openai", "/v1", ("sim-1", "sim-think", "gpt-*")),
    ("simulated-anthropic", "anthropic", "", ("claude-sim-1", "claude-*")),
)
"""Name, kind, path of the base URL, models; the two patterns are for what agents ask for by themselves."""
MODELS = {snippets.OPENAI: "sim-1", snippets.ANTHROPIC: "claude-sim-1"}
DRAIN_S = 5

PAGE = Template("""
Realms is at $base, with a simulated provider behind it. Ctrl-C ends both.

Sign in as    admin@example.com   $admin
or as         user@example.com    $user
Models        sim-1  sim-think  claude-sim-1  (and any gpt-… or claude-…)
Token         $token

Paste any of these into another terminal:

$commands""")
CODEX = Template("""
mkdir -p $home && cat > $home/config.toml <<'END'
$config

[features]
plugins = false
apps = false

[analytics]
enabled = false
END
CODEX_HOME=$home REALMS_TOKEN=$token codex exec --skip-git-repo-check "Say hello." < /dev/null
""")
CLAUDE = Template("""
ANTHROPIC_BASE_URL=$base ANTHROPIC_AUTH_TOKEN=$token ANTHROPIC_MODEL=$model \\
CLAUDE_CONFIG_DIR=$home CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 claude -p "Say hello." < /dev/null
""")


class People(NamedTuple):
    """What proves who somebody is."""

    admin: str
    user: str
    token: str


def main() -> int:
    """Run the demo until it is interrupted; 78 when it can't start."""
    bind = os.environ.get("REALMS_BIND") or "127.0.0.1:8080"  # noqa: TID251 - before there are settings
    problem = start.occupied(bind)
    if problem:
        sys.stderr.write(f"The demo can't start: {problem} make demo\n")
        return settings.EXIT_CONFIG
    folder = ROOT / "data" / f"demo-{bind.rpartition(':')[2]}"
    shutil.rmtree(folder, ignore_errors=True)
    environment = _environment(bind, folder)
    known = settings.load(environment)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as stack:
            provider = stack.enter_context(_running("simulator", "--port", "0", environment=environment))
            people = furnish(known, provider_url=_told_address(provider))
            server = stack.enter_context(_running("gunicorn", "wsgi:app", environment=environment))
            if _wait_until_ready(bind, server):
                sys.stdout.write(page(known, people))
                sys.stdout.flush()
            return _wait_for_either(provider, server)
    except KeyboardInterrupt:
        return 0


def furnish(known: Settings, *, provider_url: str) -> People:
    """Return the people of a new house, after its upstreams and models are in place."""
    made = People(secrets.token_urlsafe(12), secrets.token_urlsafe(12), "")
    with create_app(known).app_context():
        schema.upgrade()
        setup.create_first_admin(email="admin@example.com", password=made.admin, name="Admin")
        user = accounts.create_user(email="user@example.com", password=made.user, name="User", actor=None)
        for name, kind, path, models in UPSTREAMS:
            upstream = upstreams.create(
                name=name, kind=kind, base_url=provider_url + path, key=f"sim-{kind}", priority=0, weight=1, actor=None
            )
            catalog.import_models(upstream.id, dict.fromkeys(models), actor=None)
        return made._replace(token=tokens.mint(user, name="demo", actor=None).secret)


def page(known: Settings, people: People) -> str:
    """Return what the terminal shows: the way in, and commands that work as they stand."""
    told = "\n".join(f"# {title}\n{text.strip()}\n" for title, text in commands(known, people.token))
    return PAGE.substitute(people._asdict(), base=known.public_url, commands=told)


def commands(known: Settings, token: str) -> Iterator[tuple[str, str]]:
    """Yield each command under its title."""
    base, home = known.public_url, known.data_dir
    parts = {part.id: part for client in snippets.CLIENTS for part in client.parts}

    def shown(name: str) -> str:
        text = snippets.render(parts[name], base, MODELS[parts[name].protocol], token=token)
        return text.replace(f"${snippets.ENV}", token)

    yield "Chat Completions", shown("curl-openai")
    yield "Chat Completions, streaming", shown("curl-openai-stream")
    yield "Messages", shown("curl-anthropic")
    yield "Messages, streaming", shown("curl-anthropic-stream")
    yield "Codex CLI", CODEX.substitute(config=shown("codex-config"), token=token, home=home / "codex")
    model = MODELS[snippets.ANTHROPIC]
    yield "Claude Code", CLAUDE.substitute(base=base, token=token, model=model, home=home / "claude")


def _environment(bind: str, folder: Path) -> dict[str, str]:
    """Return an environment in which nothing but the address is left of an operator's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(settings.PREFIX)}  # noqa: TID251
    return kept | {
        "REALMS_BIND": bind,
        "REALMS_DATA_DIR": str(folder),
        "REALMS_DRAIN_S": str(DRAIN_S),
        "REALMS_EGRESS_ALLOW": "127.0.0.0/8",
    }


@contextmanager
def _running(module: str, *arguments: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a module as a process that doesn't outlive the demo."""
    command = [sys.executable, "-m", module, *arguments]
    stdout = subprocess.PIPE if module == "simulator" else None
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=stdout, text=True) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(DRAIN_S + 10)
            except subprocess.TimeoutExpired:
                process.kill()


def _told_address(provider: subprocess.Popen[str]) -> str:
    assert provider.stdout is not None  # noqa: S101 - it was asked for
    return provider.stdout.readline().split()[-1]


def _wait_until_ready(bind: str, server: subprocess.Popen[str]) -> bool:
    """Return True once the server answers, False when it has ended instead."""
    while server.poll() is None:
        with closing(HTTPConnection(bind, timeout=5)) as connection, suppress(OSError):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == HTTPStatus.OK:
                return True
        time.sleep(0.1)
    return False


def _wait_for_either(*processes: subprocess.Popen[str]) -> int:
    while True:
        for process in processes:
            if process.poll() is not None:
                return process.returncode
        time.sleep(0.2)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
