"""Calls under way, as both rooms show and end them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect
from flask_babel import gettext as _

from app.services.context import context
from app.web.people import person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from app.models import User
    from app.relay.running import Running

SHOWN = 200


def calls(*, user_id: int | None = None) -> list[Running] | None:
    """Return what is under way, and have the workers go on telling; None while none of them has told yet."""
    context().running.look()
    return context().running.calls(user_id=user_id)


def end_call(call_id: str, *, owner: User | None, back: str) -> ResponseReturnValue:
    """End one call, of ``owner`` where one is given, and go back."""
    if context().running.end(call_id[:32], actor=person().user, owner=owner):
        flash(_("The call is being ended, and its client told so."), "good")
    else:
        flash(_("There is no such call under way: it may be over."), "warn")
    return redirect(back)
