"""The server of all tests, but that its workers ask for background responses after moments, not minutes."""

from pathlib import Path as _Path

exec(compile(_Path("tests/gunicorn_watched.py").read_text(), "gunicorn_watched.py", "exec"))
_usual = post_worker_init  # noqa: F821 - of the file above


def post_worker_init(worker):
    from app.services import pending

    pending.LOOK_S, pending.FIRST_S = 0.4, 1.0
    _usual(worker)
