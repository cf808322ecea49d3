"""The real Codex CLI and Claude Code, installed from npm, as people run them; and what they send, byte for byte."""

import fcntl
import json
import os
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent / "node"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "realms-tests" / "agents"
CODEX_MODEL, CLAUDE_MODEL = "gpt-5.1-codex", "claude-opus-4-8"
CONFIG = """
model = "{model}"
model_provider = "realms"
[model_providers.realms]
name = "Realms"
base_url = "{url}/v1"
env_key = "REALMS_TOKEN"
wire_api = "responses"
[features]
plugins = false
apps = false
[analytics]
enabled = false
"""
QUIET = {
    "IS_SANDBOX": "1",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
}


# -- installed --------------------------------------------------------------------------------------------------------
def installed():
    """Whether what the lock names is there."""
    done = CACHE / "installed"
    return done.exists() and done.read_bytes() == (HERE / "package-lock.json").read_bytes()


def install():
    """Install the agents once, into a cache outside of the repository: 800 MB."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if installed():
            return
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, CACHE)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, cwd=CACHE, check=True, timeout=600)
        shutil.copy(HERE / "package-lock.json", CACHE / "installed")


# -- run --------------------------------------------------------------------------------------------------------------
class Codex:
    """One conversation with Codex CLI."""

    model = CODEX_MODEL

    def __init__(self, url, token, folder):
        self._home, self.work = folder / "home", folder / "work"
        for made in (self._home, self.work):
            made.mkdir(parents=True)
        (self._home / "config.toml").write_text(CONFIG.format(model=self.model, url=url))
        self._env = {"CODEX_HOME": str(self._home), "REALMS_TOKEN": token}
        self._begun = False

    def ask(self, prompt):
        """One turn of the person; returns the agent's last words."""
        again = ["resume", "--last"] if self._begun else []
        self._begun = True
        usual = ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        codex = CACHE / "node_modules" / ".bin" / "codex"
        told = run([codex, "exec", *again, *usual, prompt], self.work, self._env)
        items = [event["item"] for event in map(json.loads, told.splitlines()) if event["type"] == "item.completed"]
        return next(item["text"] for item in reversed(items) if item["type"] == "agent_message")

    def step(self, command):
        """How the simulated model is told to have a command run."""
        return f"[[tool:exec_command {json.dumps({'cmd': command})}]]"


class Claude:
    """One conversation with Claude Code."""

    model = CLAUDE_MODEL

    def __init__(self, url, token, folder):
        home, self.work = folder / "home", folder / "work"
        for made in (home, self.work):
            made.mkdir(parents=True)
        self._env = QUIET | {"HOME": str(home), "ANTHROPIC_BASE_URL": url, "ANTHROPIC_AUTH_TOKEN": token}
        self._begun = False

    def ask(self, prompt):
        """One turn of the person; returns the agent's last words."""
        again = ["--continue"] if self._begun else []
        self._begun = True
        usual = ["-p", "--model", self.model, "--output-format", "json", "--permission-mode", "bypassPermissions"]
        (claude,) = (CACHE / "node_modules" / "@anthropic-ai").glob("claude-code-*/claude")
        told = json.loads(run([claude, *usual, *again, prompt], self.work, self._env))
        assert not told["is_error"], told
        return told["result"]

    def step(self, command):
        """How the simulated model is told to have a command run."""
        return f"[[tool:Bash {json.dumps({'command': command})}]]"


def run(command, folder, env):
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder.parent)} | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


# -- what they send ---------------------------------------------------------------------------------------------------
class Sent(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Tee:
    """Stands between an agent and Realms, and keeps what the agent sends."""

    def __init__(self, port):
        self._port = port
        self._kept = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def serve(self):
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                kept = bytearray()
                self._kept.append(kept)
                threading.Thread(target=pass_on, args=(client, server, kept), daemon=True).start()
                threading.Thread(target=pass_on, args=(server, client, bytearray()), daemon=True).start()

    def close(self):
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def sent(self):
        """The requests with a body so far, connection by connection."""
        return [request for kept in self._kept for request in requests_in(bytes(kept)) if request.body]


def pass_on(source, target, kept):
    with suppress(OSError), source:
        while data := source.recv(65536):
            kept += data
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def requests_in(data):
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        yield Sent(first.split()[1], headers, rest[:length])
        data = rest[length:]


@contextmanager
def tee(port):
    made = Tee(port)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()
