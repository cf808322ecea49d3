"""``/metrics`` for Prometheus; not there unless a token or a network was set."""

from __future__ import annotations

import ipaddress
from hmac import compare_digest
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from app.api import machinery
from app.protocol.errors import Problem, RelayError
from app.services.metrics import offered

if TYPE_CHECKING:
    from app.settings import Settings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def add_rules(blueprint: Blueprint) -> None:
    """One rule."""
    blueprint.add_url_rule("/metrics", "metrics", metrics, methods=["GET"])


def metrics() -> Response:
    """Every number of every worker of this host."""
    parts = machinery()
    if not offered(parts.settings):
        raise RelayError(Problem.UNKNOWN_PATH, "There are no metrics here.")
    if not _may_read(parts.settings):
        raise RelayError(Problem.INVALID_API_KEY, "Metrics are for the token and the networks that were set.")
    return Response(parts.metrics.text(), content_type=CONTENT_TYPE)


def _may_read(settings: Settings) -> bool:
    token = settings.metrics_token.get_secret_value()
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and compare_digest(given.encode(), token.encode()):
        return True
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return False
    return any(address in network for network in settings.metrics_allow)
