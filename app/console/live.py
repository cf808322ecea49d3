"""One's own calls under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template, url_for

from app.console import blueprint
from app.services import tokens
from app.web import live as web
from app.web.people import person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/usage/live")
def live() -> ResponseReturnValue:
    """Show the visitor's calls under way, oldest first."""
    calls = web.calls(user_id=person().user.id)
    shown = (calls or [])[: web.SHOWN]
    return render_template(
        "console/live.html",
        told=calls is not None,
        calls=shown,
        more=len(calls or ()) - len(shown),
        tokens=tokens.names({call.token_id for call in shown}),
    )


@blueprint.post("/usage/live/<call_id>/end")
def end_call(call_id: str) -> ResponseReturnValue:
    """End one of the visitor's calls."""
    return web.end_call(call_id, owner=person().user, back=url_for("console.live"))
