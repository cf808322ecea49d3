"""Limits that people set on their own tokens, within those they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, url_for
from flask_babel import gettext as _

from app.console import blueprint
from app.services import tokens
from app.web.limits import limits_page
from app.web.people import person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/tokens/<int:token_id>/limits", methods=["GET", "POST"])
def token_limits(token_id: int) -> ResponseReturnValue:
    """Show and set the limits of one's own token."""
    token = tokens.get_for(person().user, token_id) or abort(404)
    title = _("Limits of the token %(name)s", name=token.name)
    return limits_page("token", token_id, title=title, back=url_for("console.tokens"), up=_("Tokens"))
