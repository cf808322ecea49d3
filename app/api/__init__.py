"""The room for machines: ``/v1``, and the probes of orchestrators.

Never reads a cookie, always answers in the caller's protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import Blueprint, current_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.relay.drain import Drain
    from app.relay.run import Relay
    from app.services.callers import Callers
    from app.services.directory import Directory
    from app.services.metrics import Metrics
    from app.services.routing import Router
    from app.services.standing import Standings
    from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Machinery:
    """What the api room works with; ``wiring`` puts it together once."""

    settings: Settings
    relay: Relay
    callers: Callers
    router: Router
    directory: Directory
    drain: Drain
    standings: Standings
    metrics: Metrics
    start: Callable[[], None]
    """Sets the house going where the server has no hook for that (``flask run``, tests)."""


def machinery() -> Machinery:
    """Return the machinery of the current application."""
    return cast("Machinery", current_app.extensions["realms.api"])


def build() -> Blueprint:
    """Return the blueprint with every rule of the room."""
    from app.api import door, errors, health, metrics, models, usage, views

    blueprint = Blueprint("api", __name__)
    health.add_rules(blueprint)
    metrics.add_rules(blueprint)
    models.add_rules(blueprint)
    usage.add_rules(blueprint)
    views.add_rules(blueprint)
    errors.add_rules(blueprint)
    blueprint.before_app_request(errors.unrouted)
    blueprint.before_request(door.enter)
    blueprint.after_request(door.leave)
    blueprint.register_error_handler(Exception, errors.answer)
    return blueprint
