"""`make demo`: what it prints works as it stands, and Ctrl-C leaves nothing behind."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.live import ROOT, free_port, until

pytestmark = pytest.mark.slow


@contextmanager
def demo(port, tmp_path):
    """Run the demo in a process group of its own, as a terminal does; yield what it prints."""
    out = tmp_path / "out"
    environment = os.environ | {"REALMS_BIND": f"127.0.0.1:{port}", "REALMS_WORKERS": "nonsense that it ignores"}
    with out.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.demo"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: "claude -p" in out.read_text() or process.poll() is not None, seconds=90, every=0.1)
        yield process, out.read_text
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(ROOT / "data" / f"demo-{port}", ignore_errors=True)


def blocks(text):
    """Each printed command by its title."""
    page = text[text.index("Paste any of these") :]
    found = {}
    for part in re.split(r"^# ", page, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        found[title] = body
    return found


def in_group(group):
    """The processes of a group."""
    listed = subprocess.run(["ps", "-o", "pid=", "-g", str(group)], capture_output=True, text=True, check=False)
    return listed.stdout.split()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.timeout(240)
def test_what_is_printed_works_and_ctrl_c_ends_everything(tmp_path):
    port = free_port()
    for _ in range(2):  # a second one finds what the first has left
        with demo(port, tmp_path) as (process, told):
            commands = blocks(told())
            assert list(commands)[-2:] == ["Codex CLI", "Claude Code"]
            for title, command in commands.items():
                if "curl" in command:
                    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30).stdout
                    assert "hello" in said, title
                    assert ("data: " in said) == ("streaming" in title)
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(30) == 0
            assert "Traceback" not in told()
            until(lambda: not in_group(process.pid))
            assert not listens(port)


def test_a_demo_whose_port_is_taken_touches_nothing(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with demo(port, tmp_path) as (process, told):
            assert process.wait(10) == 78
            assert f"127.0.0.1:{port} is taken" in told()
            assert not (ROOT / "data" / f"demo-{port}").exists()
