"""The room of everybody who signs in: their tokens, their snippets, their account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, request

from app.web import people

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("console", __name__)

OPEN = frozenset(
    {
        f"console.{name}"
        for name in ("login", "code", "setup", "language", "join", "reset", "forgot", "register", "check", "docs")
    }
)
"""What may be visited without a sign-in."""


@blueprint.before_request
def enter() -> ResponseReturnValue | None:
    """Let only signed-in people further than the door."""
    return None if request.endpoint in OPEN else people.require_sign_in()


from app.console import (  # noqa: E402, F401 - views register themselves
    account,
    connect,
    dashboard,
    door,
    limits,
    links,
    live,
    models,
    second_factor,
    tokens,
    usage,
)
