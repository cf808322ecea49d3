"""What the services of one application share; ``wiring`` puts it together once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app

if TYPE_CHECKING:
    from app.relay.egress import Egress
    from app.services.directory import Directory
    from app.services.explain import Explainer
    from app.services.mail import Mail
    from app.services.pen import Pen
    from app.services.running import RunningBoard
    from app.services.standing import Standings
    from app.services.vault import Vault
    from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The long-lived parts that management services need besides the database session."""

    settings: Settings
    vault: Vault
    directory: Directory
    egress: Egress
    standings: Standings
    explainer: Explainer
    running: RunningBoard
    mail: Mail
    pen: Pen


def context() -> Context:
    """Return the context of the current application."""
    return cast("Context", current_app.extensions["realms"])
