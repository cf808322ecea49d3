"""Limits of users, tokens and models, set by administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, url_for
from flask_babel import gettext as _

from app.admin import blueprint
from app.services import accounts, catalog
from app.web.limits import limits_page

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/users/<int:user_id>/limits", methods=["GET", "POST"])
def user_limits(user_id: int) -> ResponseReturnValue:
    """Show and set a user's limits."""
    user = accounts.get_user(user_id) or abort(404)
    back = url_for("admin.user", user_id=user_id)
    return limits_page("user", user_id, title=_("Limits of %(name)s", name=user.email), back=back, up=user.email)


@blueprint.route("/models/<int:model_id>/limits", methods=["GET", "POST"])
def model_limits(model_id: int) -> ResponseReturnValue:
    """Show and set everybody's limits on a model together."""
    model = catalog.get_model(model_id) or abort(404)
    back = url_for("admin.model", model_id=model_id)
    return limits_page("model", model_id, title=_("Limits of %(name)s", name=model.name), back=back, up=model.name)
