"""The server of all tests, but that a worker can be told to stand still: its loop spins, and hears no signal."""

import signal
import time
from pathlib import Path

SPIN_S = 65

exec(Path("tests/gunicorn_watched.py").read_text())
_usual = post_worker_init  # noqa: F821 - of the file above


def _spin(*_):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT, signal.SIGTERM, signal.SIGQUIT})
    end = time.monotonic() + SPIN_S
    while time.monotonic() < end:
        pass


def post_worker_init(worker):
    _usual(worker)
    signal.signal(signal.SIGRTMIN + 1, _spin)
