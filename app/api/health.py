"""What orchestrators and clients ask before they trust us: ``/livez``, ``/readyz``, ``/healthz``, ``HEAD /``."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from flask import Blueprint, Response, jsonify

from app.api import machinery
from app.services import leaving
from app.settings import VERSION

BUILD_TIME = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC).isoformat(timespec="seconds")


def add_rules(blueprint: Blueprint) -> None:
    """All public."""
    for view in (livez, readyz, healthz):
        blueprint.add_url_rule(f"/{view.__name__}", view.__name__, view, methods=["GET"])
    for rule in ("/", "/api/hello"):  # Claude Code asks one or the other at every start, without a token
        blueprint.add_url_rule(rule, "probe", probe, methods=["HEAD"], provide_automatic_options=False)


def probe() -> Response:
    """Somebody is here."""
    return Response(status=200)


def livez() -> Response:
    """This process answers."""
    return jsonify({"status": "ok"})


def readyz() -> tuple[Response, int]:
    """This worker can serve calls: neither it nor its host is on the way out, and its configuration isn't stale."""
    parts = machinery()
    staying = not parts.drain.draining and not leaving.is_told(parts.settings.data_dir)
    ready = staying and parts.directory.age_s() < parts.settings.auth_stale_max_s
    return jsonify({"status": "ok" if ready else "not ready"}), 200 if ready else 503


def healthz() -> tuple[Response, int]:
    """Version and database, within a second whatever happens."""
    since = time.monotonic()
    alive = machinery().directory.ping()
    told = {
        "status": "ok" if alive else "degraded",
        "version": VERSION,
        "build_time": BUILD_TIME,
        "database": {"ok": alive, "latency_ms": round((time.monotonic() - since) * 1000, 1)},
    }
    return jsonify(told), 200 if alive else 503
