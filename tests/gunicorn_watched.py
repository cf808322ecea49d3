"""gunicorn's configuration for tests: ours, and in each worker the watch of `tests/watched.py`."""

from pathlib import Path as _Path

exec(compile(_Path("gunicorn.conf.py").read_text(), "gunicorn.conf.py", "exec"))
_ours, _end = post_worker_init, worker_exit  # noqa: F821 - both come from there


def post_worker_init(worker):
    from tests.watched import Watch

    _ours(worker)
    worker.watched = Watch()


def worker_exit(server, worker):
    _end(server, worker)
    if hasattr(worker, "watched"):
        worker.watched.write()
