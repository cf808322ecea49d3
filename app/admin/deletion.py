"""Deleting anything: a page that asks first, the deed, and where to go then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, request
from flask_babel import gettext as _

from app.services.fields import FieldError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue


def ask_or_delete(
    *, title: str, text: str, back: str, then: str, act: Callable[[], None], verb: str = "", said: str = ""
) -> ResponseReturnValue:
    """Answer GET with the question and POST with ``act``; ``verb`` and ``said`` where it isn't called deletion."""
    if request.method == "GET":
        return render_template("admin/delete.html", title=title, text=text, back=back, verb=verb or _("Delete"))
    try:
        act()
    except FieldError as error:
        flash(str(error), "bad")
        return redirect(back)
    flash(said or _("Deleted."), "good")
    return redirect(then)
