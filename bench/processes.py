"""Starts what is measured, reads what it costs, and ends all of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BIN = HERE / "bin"
START_S = 90.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Target:
    """Something that listens and can be measured."""

    name: str
    port: int
    process: subprocess.Popen
    token: str = "sk-test"
    headers: tuple[str, ...] = ()
    """What else it wants to be told with each request."""

    def tree(self) -> list[int]:
        """The pids of its process and of all below it."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with suppress(OSError):
                for task in Path(f"/proc/{pid}/task").iterdir():
                    todo += map(int, (task / "children").read_text().split())
        return found

    def cpu_s(self) -> float:
        """Seconds of processor time that it has used so far."""
        return sum(_cpu_s(pid) for pid in self.tree())

    def pss_mb(self) -> float:
        """Its share of memory."""
        return sum(_pss_mb(pid) for pid in self.tree())


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pss_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def build() -> None:
    """Compile the generators."""
    subprocess.run(["make", "-s", "-C", str(HERE)], check=True)


def has_peer(name: str) -> bool:
    return subprocess.run([str(HERE / "peers.sh"), "has", name], check=False).returncode == 0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextmanager
def upstream():
    """The fake upstream; it ends by itself after an hour whatever happens."""
    port = free_port()
    with running("upstream", port, [str(BIN / "upstream"), str(port), "3600"]) as target:
        yield target


@contextmanager
def peer(name: str, upstream_port: int, folder: Path):
    """One of the relays of ``peers.sh``."""
    port = free_port()
    folder = folder / name
    folder.mkdir()
    command = [str(HERE / "peers.sh"), "run", name, str(port), str(upstream_port), str(folder)]
    with running(name, port, command, log=folder / "log") as target:
        if name == "portkey":
            host = f"http://127.0.0.1:{upstream_port}/v1"
            target.headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: {host}")
        yield target


@contextmanager
def running(name: str, port: int, command: list[str], *, log: Path | None = None, env: dict | None = None, cwd=None):
    """A process, once it listens; it and its children are ended afterwards."""
    with (log or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=cwd, start_new_session=True
        )
    try:
        _wait(name, port, process, log)
        yield Target(name, port, process)
    finally:
        _end(process)


def _wait(name: str, port: int, process: subprocess.Popen, log: Path | None) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    told = log.read_text()[-2000:] if log else ""
    raise RuntimeError(f"{name} did not start\n{told}")


def _end(process: subprocess.Popen) -> None:
    """End a process group of our own making."""
    for kind, patience in ((signal.SIGTERM, 8), (signal.SIGKILL, 8)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
