"""The server as it is shipped, but that a worker can be told to stand still: its loop spins, and hears no signal."""

import signal
import time
from pathlib import Path

SPIN_S = 30

exec(Path("gunicorn.conf.py").read_text())
timeout = 10
_shipped = post_worker_init  # noqa: F821 - of the file above


def _spin(*_):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGABRT, signal.SIGTERM, signal.SIGQUIT})
    end = time.monotonic() + SPIN_S
    while time.monotonic() < end:
        pass


def post_worker_init(worker):
    _shipped(worker)
    signal.signal(signal.SIGRTMIN + 1, _spin)
