"""One's own calls under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import url_for

from app.console import blueprint
from app.web import live as web
from app.web.people import person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/usage/live")
def live() -> ResponseReturnValue:
    """Show the visitor's calls under way, oldest first."""
    return web.page(owner=person().user)


@blueprint.post("/usage/live/<call_id>/end")
def end_call(call_id: str) -> ResponseReturnValue:
    """End one of the visitor's calls."""
    return web.end_call(call_id, owner=person().user, back=url_for("console.live"))
