"""Everybody's calls under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template, url_for

from app.admin import blueprint
from app.services import accounts, tokens, upstreams
from app.web import live as web

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/live")
def live() -> ResponseReturnValue:
    """Show what is under way in all workers, oldest first."""
    calls = web.calls()
    shown = (calls or [])[: web.SHOWN]
    return render_template(
        "admin/live.html",
        told=calls is not None,
        calls=shown,
        more=len(calls or ()) - len(shown),
        users=accounts.emails({call.user_id for call in shown}),
        tokens=tokens.names({call.token_id for call in shown}),
        upstreams={each.id: each.name for each in upstreams.list_all()},
    )


@blueprint.post("/live/<call_id>/end")
def end_call(call_id: str) -> ResponseReturnValue:
    """End anybody's call."""
    return web.end_call(call_id, owner=None, back=url_for("admin.live"))
