"""Calls under way, as both rooms show and end them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template
from flask_babel import gettext as _

from app.services import accounts, tokens, upstreams
from app.services.context import context
from app.web.people import person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from app.models import User

SHOWN = 200


def page(*, owner: User | None, upstream_id: int | None = None, user_id: int | None = None) -> str:
    """Show what is under way, oldest first: of ``owner``, or of everybody, who and where included.

    That can be narrowed to one upstream, and to one user.

    The workers go on telling while somebody looks.
    """
    context().running.look()
    calls = context().running.calls(user_id=owner.id if owner else user_id)
    if calls is not None and upstream_id is not None:
        calls = [call for call in calls if call.upstream_id == upstream_id]
    shown = (calls or [])[:SHOWN]
    return render_template(
        "live.html",
        all=owner is None,
        upstream_id=upstream_id,
        user=accounts.get_user(user_id) if user_id is not None else None,
        told=calls is not None,
        calls=shown,
        more=len(calls or ()) - len(shown),
        tokens=tokens.names({call.token_id for call in shown}),
        users={} if owner else accounts.emails({call.user_id for call in shown}),
        upstreams={} if owner else {each.id: each.name for each in upstreams.list_all()},
    )


def end_call(call_id: str, *, owner: User | None, back: str) -> ResponseReturnValue:
    """End one call, of ``owner`` where one is given, and go back."""
    if context().running.end(call_id[:32], actor=person().user, owner=owner):
        flash(_("The call is being ended, and its client told so."), "good")
    else:
        flash(_("There is no such call under way: it may be over."), "warn")
    return redirect(back)
