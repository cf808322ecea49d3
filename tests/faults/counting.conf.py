"""The server of all tests, but that a worker can be told (by a signal) to write down what it holds open."""

import gc
import json
import os
import signal
from pathlib import Path

exec(Path("tests/gunicorn_watched.py").read_text())
_usual = post_worker_init  # noqa: F821 - of the file above


def _count():
    """In the hub, where nothing else happens meanwhile."""
    from greenlet import greenlet

    from tests.watched import descriptors

    gc.collect()
    alive = sum(isinstance(each, greenlet) and bool(each) for each in gc.get_objects())
    told = {"descriptors": descriptors(), "greenlets": alive}
    path = Path(os.environ["REALMS_DATA_DIR"]) / f"held-{os.getpid()}"
    path.with_suffix(".tmp").write_text(json.dumps(told))
    path.with_suffix(".tmp").rename(path.with_suffix(".json"))


def post_worker_init(worker):
    import gevent

    _usual(worker)
    hub = gevent.get_hub()
    told = hub.loop.async_()
    told.start(_count)
    signal.signal(signal.SIGRTMIN + 2, lambda *_: told.send())
