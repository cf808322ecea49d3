"""Everybody's calls under way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request, url_for

from app.admin import blueprint
from app.web import live as web

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/live")
def live() -> ResponseReturnValue:
    """Show what is under way in all workers, oldest first; of one upstream or user where it is named."""
    asked = request.args
    return web.page(owner=None, upstream_id=asked.get("upstream", type=int), user_id=asked.get("user", type=int))


@blueprint.post("/live/<call_id>/end")
def end_call(call_id: str) -> ResponseReturnValue:
    """End anybody's call."""
    return web.end_call(call_id, owner=None, back=url_for("admin.live"))
