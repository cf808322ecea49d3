"""The floor above WSGI: how a gunicorn gevent worker of this house takes connections and ends.

Reached from ``gunicorn.conf.py`` alone. ``REALMS_FAST=0`` leaves requests and responses to gunicorn's own code.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

from app.server import refusals
from app.server.connections import Connections
from app.server.lean import Lean


def install(worker: Any) -> None:
    """Set a worker's house going, and let it follow the worker's life and its connections."""
    house = worker.wsgi.extensions["realms.house"]
    _spare_the_collector()
    house.scribe.start(partial(_leave, worker))
    refusals.install()
    connections = Connections(keepalive_s=worker.cfg.keepalive)
    worker.handle = connections.seeing(worker.handle)
    worker.handle_request = connections.serving(worker.handle_request)
    if house.settings.fast:
        worker.handle = Lean(worker, connections, house.watch, body_s=house.settings.body_s).handle
    worker.run = connections.outlasting(worker)
    house.start(lambda: worker.alive, connections.close_idle, connections.close_all)
    house.room.start(worker.cfg.worker_connections)
    connections.start()


def _leave(worker: Any) -> None:
    """Let a scribe go of the sockets that its worker listens on, and of the file by which that shows it is alive."""
    for listener in worker.sockets:
        listener.close()
    worker.tmp.close()


def _spare_the_collector() -> None:
    """Keep what lives as long as the worker out of every garbage collection, and have fewer of them.

    A relayed call makes many small objects and hardly a cycle; to walk the whole application for those costs more
    than what is found.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
