"""What is said to everybody, and what may be chosen at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from pydantic import SecretStr

from app.admin import blueprint
from app.admin.deletion import ask_or_delete
from app.admin.forms import AnnouncementForm, ChoicesForm
from app.services import announcements as service
from app.services import choices
from app.services.choices import Choices
from app.services.context import context
from app.services.fields import FieldError
from app.web.people import password_again, person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

HIDDEN = "••••••"


@blueprint.route("/announcements", methods=["GET", "POST"])
def announcements() -> ResponseReturnValue:
    """Show what is announced, and announce more."""
    form = AnnouncementForm()
    if form.validate_on_submit():
        try:
            service.announce(form.text.data, days=form.days.data, actor=person().user)
        except FieldError as error:
            form.refuse(error)
        else:
            flash(_("Everybody sees it on the dashboard now."), "good")
            return redirect(url_for("admin.announcements"))
    return render_template("admin/announcements.html", form=form, announcements=service.present())


@blueprint.route("/announcements/<int:announcement_id>/delete", methods=["GET", "POST"])
@password_again
def delete_announcement(announcement_id: int) -> ResponseReturnValue:
    """Ask whether to take an announcement back, then do it."""
    back = url_for("admin.announcements")
    return ask_or_delete(
        title=_("Delete an announcement"),
        text=_("Nobody sees it any more."),
        back=back,
        then=back,
        act=lambda: service.take_back(announcement_id, actor=person().user),
    )


@blueprint.route("/settings", methods=["GET", "POST"])
@password_again
def settings() -> ResponseReturnValue:
    """Change what may be chosen at run time; show what the environment fixes."""
    form = ChoicesForm(obj=choices.present())
    if form.validate_on_submit():
        try:
            choices.choose(Choices(**form.chosen), actor=person().user)
        except FieldError as error:
            form.refuse(error)
        else:
            flash(_("Saved."), "good")
            return redirect(url_for("admin.settings"))
    return render_template("admin/settings.html", form=form, fixed=_fixed())


def _fixed() -> list[tuple[str, str]]:
    """Return the environment's settings as an administrator may see them."""
    values = context().settings
    return [(f"REALMS_{name.upper()}", _shown(getattr(values, name))) for name in type(values).model_fields]


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if value is None:
        return ""
    return ", ".join(str(each) for each in value) if isinstance(value, tuple) else str(value)
