"""Users: list, make, change, lock out, another password."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.admin import blueprint
from app.admin.deletion import ask_or_delete
from app.admin.forms import NewUserForm, ResetForm, UserForm
from app.admin.traffic import READER
from app.services import accounts, roster, second_factor, tokens
from app.services.accounts import AccountError
from app.services.roster import Wanted
from app.web.bars import standings_of
from app.web.people import password_again, person
from app.web.requests import sums_of

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

PAGE = 50
FILTERS = ("words", "role", "state", "second_factor")
ENTERED_MAX = 64


@blueprint.get("/users")
def users() -> ResponseReturnValue:
    """List people by address; filters and place stand in the address."""
    asked = _asked()
    second = {"1": True, "0": False}.get(asked.get("second_factor", ""))
    wanted = Wanted(
        words=asked.get("words", ""), role=asked.get("role", ""), state=asked.get("state", ""), second_factor=second
    )
    after = request.args.get("after", "")[: accounts.EMAIL_LONGEST]
    page = roster.page(wanted, after=after, limit=PAGE)
    alone = not asked and not after and len(page.users) == 1
    return render_template("admin/users.html", page=page, asked=asked, after=after, alone=alone)


@blueprint.route("/users/new", methods=["GET", "POST"])
@password_again
def new_user() -> ResponseReturnValue:
    """Make a user."""
    form = NewUserForm()
    if form.validate_on_submit():
        try:
            user = accounts.create_user(
                email=form.email.data,
                password=form.password.data,
                name=form.name.data,
                role=form.role.data,
                actor=person().user,
            )
        except AccountError as error:
            form.refuse(error)
        else:
            flash(_("%(email)s can sign in now with the password you chose.", email=user.email), "good")
            return redirect(url_for("admin.users"))
    return render_template("admin/user_new.html", form=form)


@blueprint.get("/users/<int:user_id>")
def user(user_id: int) -> ResponseReturnValue:
    """Show a user: role and state, limits, usage, tokens."""
    found = _existing(user_id)
    theirs = tokens.list_for(found)
    return render_template(
        "admin/user.html",
        user=found,
        tokens=theirs,
        limits=standings_of(found, theirs),
        totals=sums_of(found.id),
        reader=READER,
        has_second_factor=second_factor.is_on(found.id),
        now=datetime.now(UTC),
    )


@blueprint.route("/users/<int:user_id>/edit", methods=["GET", "POST"])
@password_again
def edit_user(user_id: int) -> ResponseReturnValue:
    """Change a user's name and role."""
    found = _existing(user_id)
    form = UserForm(obj=found)
    if form.validate_on_submit():
        try:
            accounts.update_user(user_id, name=form.name.data, role=form.role.data, actor=person().user)
        except AccountError as error:
            form.refuse(error)
        else:
            flash(_("Saved."), "good")
            return redirect(url_for("admin.user", user_id=user_id))
    return render_template("admin/user_edit.html", user=found, form=form)


@blueprint.route("/users/<int:user_id>/password", methods=["GET", "POST"])
@password_again
def reset_password(user_id: int) -> ResponseReturnValue:
    """Give a user another password and end their sign-ins."""
    found = _existing(user_id)
    form = ResetForm()
    if form.validate_on_submit():
        try:
            accounts.reset_password(user_id, password=form.password.data, actor=person().user)
        except AccountError as error:
            form.refuse(error)
        else:
            flash(_("The password is changed and every browser of this user signed out."), "good")
            return redirect(url_for("admin.user", user_id=user_id))
    return render_template("admin/user_password.html", user=found, form=form)


@blueprint.route("/users/<int:user_id>/second-factor/remove", methods=["GET", "POST"])
@password_again
def remove_second_factor(user_id: int) -> ResponseReturnValue:
    """Let a user who lost authenticator and codes sign in with the password alone."""
    found, back = _existing(user_id), url_for("admin.user", user_id=user_id)
    if user_id == person().user.id:
        return redirect(url_for("console.second_factor"))  # which wants a code, as for everybody
    return ask_or_delete(
        title=_("Remove the second factor of %(email)s?", email=found.email),
        text=_(
            "The password alone signs in then, until a new one is set up. Every browser of this user is signed out."
        ),
        back=back,
        then=back,
        act=lambda: _remove_second_factor(user_id),
        verb=_("Remove"),
        said=_("Removed."),
    )


@blueprint.post("/users/<int:user_id>/<any(enable, disable):what>")
def switch_user(user_id: int, what: str) -> ResponseReturnValue:
    """Lock a user out or let them in again."""
    found = _existing(user_id)
    email = found.email
    try:
        accounts.set_disabled(user_id, disabled=what == "disable", actor=person().user)
    except AccountError as error:
        flash(str(error), "bad")
    else:
        said = _("%(name)s is enabled.") if what == "enable" else _("%(name)s is locked out, with all tokens.")
        flash(said % {"name": email}, "good")
    return redirect(url_for("admin.users", after=request.args.get("after"), **_asked()))


def _asked() -> dict[str, Any]:
    """Return which people are asked for, as it stands in the address."""
    given = {name: request.args.get(name, "").strip()[:ENTERED_MAX] for name in FILTERS}
    return {name: value for name, value in given.items() if value}


def _remove_second_factor(user_id: int) -> None:
    second_factor.turn_off(user_id, actor=person().user)


def _existing(user_id: int) -> Any:
    return accounts.get_user(user_id) or abort(404)
