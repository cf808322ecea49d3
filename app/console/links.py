"""Where one-time links lead: an account of one's own, another password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.console import blueprint
from app.console.forms import JoinForm
from app.services import links
from app.services.accounts import AccountError
from app.web import people

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/join", methods=["GET", "POST"])
def join() -> ResponseReturnValue:
    """Let somebody who was invited make an account, and sign them in."""
    form = JoinForm()
    link = _link(form, links.INVITE)
    if form.validate_on_submit():
        try:
            user = links.join(form.token.data or "", name=form.name.data, password=form.password.data)
        except AccountError as error:
            form.refuse(error)
        else:
            people.sign_in(user)
            return redirect(url_for("console.dashboard"))
    return render_template("console/join.html", form=form, email=link)


@blueprint.route("/reset", methods=["GET", "POST"])
def reset() -> ResponseReturnValue:
    """Let somebody with an administrator's link choose another password."""
    form = JoinForm()
    link = _link(form, links.RESET)
    if form.validate_on_submit():
        try:
            links.reset(form.token.data or "", password=form.password.data)
        except AccountError as error:
            form.refuse(error)
        else:
            flash(_("The password is changed. Sign in with it."), "good")
            return redirect(url_for("console.login"))
    return render_template("console/reset.html", form=form, email=link)


def _link(form: JoinForm, purpose: str) -> str:
    """Return whose link this is; one that is unknown, used or old is a page that isn't there."""
    if request.method == "GET":
        form.token.data = request.args.get("token", "")
    found = links.find(form.token.data or "", purpose)
    return found.email if found else abort(404)
