"""Every snippet of /connect does what it says, run as it is printed there with nothing but the token put in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.console.snippets import ANTHROPIC, CLIENTS, ENV, OPENAI, PLACEHOLDER
from tests import live
from tests.rooms import Browser
from tests.sdk.test_node import CACHE, sdk_folder

__all__ = ["sdk_folder"]
MODELS = {OPENAI: "sim-1", ANTHROPIC: "claude-sim-1"}
AGENTS = CACHE.parent / "agents" / "node_modules"
CODEX = AGENTS / ".bin" / "codex"
CLAUDE = next((AGENTS / "@anthropic-ai").glob("claude-code-*/claude"), AGENTS)
PARTS = {part.id: part for client in CLIENTS for part in client.parts}
ALONE = "\n[features]\nplugins = false\napps = false\n\n[analytics]\nenabled = false\n"
"""What keeps Codex from calling anybody else; it stands below what is printed."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(200),
    pytest.mark.parametrize("house", ["sqlite"], indirect=True, scope="session"),
]


@pytest.fixture(scope="module")
def printed(house):
    """The texts of the page for a chosen token by their ids, with its secret where the page has a word for that."""
    alice = Browser(house.app).sign_in("alice@example.com", live.PASSWORD)
    secret, found = house.tokens["alice"], {}
    chosen = house.rows(f"SELECT id FROM tokens WHERE last4 = '{secret[-4:]}'")[0]["id"]
    for protocol, model in MODELS.items():
        page = alice.get(f"/connect?token={chosen}&model={model}")
        texts = [code.get_text() for code in page.soup.select(".code code")]
        assert len(texts) == len(PARTS)
        for part, text in zip(PARTS.values(), texts, strict=True):
            if part.protocol == protocol:
                found[part.id] = text.replace(PLACEHOLDER + secret[-4:], secret)
    return found


def run(command, *, folder, text=None, **environment):
    """What a program says, run with no more than it needs."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "VIRTUAL_ENV") if name in os.environ}
    env = kept | {"HOME": str(folder), "XDG_CACHE_HOME": str(folder)} | environment
    done = subprocess.run(command, input=text or "", env=env, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def of(language, *, without=()):
    return [name for name, part in PARTS.items() if part.language == language and not name.startswith(without)]


@pytest.mark.parametrize("name", [name for name in of("shell", without=("claude",)) if "-token" not in name])
def test_shell(house, printed, sim, tmp_path, name):
    told = run(["bash", "-eu"], folder=tmp_path, text=printed["curl-token"] + "\n" + printed[name])
    assert "You said: Say hello." in told or told.count("data: ") > 3, told
    assert ("data: " in told) == ("stream" in name)


@pytest.mark.parametrize("name", of("python"))
def test_python(house, printed, sim, tmp_path, name):
    told = run([sys.executable, "-"], folder=tmp_path, text=printed[name], **{ENV: house.tokens["alice"]})
    assert told.strip() == "You said: Say hello."


@pytest.mark.parametrize("name", of("javascript"))
def test_javascript(house, printed, sim, sdk_folder, name):
    script = Path(sdk_folder) / f"{name}-{os.getpid()}.mjs"
    script.write_text(printed[name])
    try:
        told = run(["node", str(script)], folder=sdk_folder, **{ENV: house.tokens["alice"]})
    finally:
        script.unlink()
    assert told.strip() == "You said: Say hello."


@pytest.mark.skipif(not CODEX.exists(), reason="Codex is not installed (tests/agents)")
def test_codex(house, printed, sim, tmp_path):
    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex" / "config.toml").write_text(printed["codex-config"] + "\n" + ALONE)
    command = f'{printed["codex-token"]}\n{CODEX} exec --skip-git-repo-check "Say hello." < /dev/null'
    assert "You said" in run(["bash", "-eu"], folder=tmp_path, text=command)


@pytest.mark.skipif(not CLAUDE.is_file(), reason="Claude Code is not installed (tests/agents)")
def test_claude_code(house, printed, sim, tmp_path):
    command = f'{printed["claude-code-env"]}\n{CLAUDE} -p "Say hello." < /dev/null'
    told = run(
        ["bash", "-eu"], folder=tmp_path, text=command, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1", IS_SANDBOX="1"
    )
    assert "You said" in told or "hello" in told.lower(), told


def test_none_is_left_out(house):
    run_here = {*of("python"), *of("javascript"), *of("shell"), "codex-config"}
    assert run_here == set(PARTS)
