"""A PostgreSQL and a Redis of a test's own, to be stopped, frozen and started again."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis

from tests.live import free_port, until


class Cluster:
    """A database server in a folder."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._programs = programs
        # It refuses to run as root.
        self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://realms@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Make its files."""
        if self._as:
            shutil.chown(self._folder, "postgres", "postgres")
        where = ["-D", str(self._folder / "data"), "-U", "realms", "-A", "trust", "--no-sync"]
        subprocess.run([*self._as, self._programs / "initdb", *where], check=True, capture_output=True, cwd="/")

    def start(self, *more: str) -> None:
        """Start it, with `name=value` settings of one's own, and wait until it answers."""
        settings = [word for each in more for word in ("-c", each)]
        settings += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "unix_socket_directories="]
        command = [*self._as, self._programs / "postgres", "-D", self._folder / "data", "-p", str(self.port), *settings]
        log = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True)
        until(self._answers, seconds=30, every=0.1)

    def stop(self) -> None:
        """Let it go at once, as in a crash."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def crash(self) -> None:
        """Let every process of it die at once."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait(30)
        self._process = None

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def freeze(self) -> None:
        """Let every process of it stand still: connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        """To the server and its children: each of those leads a group of its own."""
        assert self._process is not None
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        for pid in [self._process.pid, *map(int, listed.split())]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url.replace("+psycopg", ""), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def cluster(folder: Path | None = None) -> Iterator[Cluster]:
    """Start a server of its own, in a folder where one is given, and leave nothing of it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL's programs are not installed")
    folder = folder or Path(tempfile.mkdtemp(prefix="realms-cluster-"))
    folder.chmod(0o755)
    made = Cluster(folder, found[-1].parent)
    try:
        made.make()
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class RedisServer:
    """A Redis that nobody else uses."""

    url: str
    pid: int
    client: redis.Redis

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    @property
    def asked(self) -> int:
        """How often a script was run."""
        return int(self.client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        url = f"redis://127.0.0.1:{port}/0"
        made = RedisServer(url, process.pid, redis.Redis.from_url(url, decode_responses=True))
        try:
            until(made.answers)
            yield made
        finally:
            made.client.close()
            process.kill()
