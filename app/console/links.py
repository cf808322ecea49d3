"""Asking for one-time links by mail, and where such links lead: an account of one's own, another password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _

from app.console import blueprint
from app.console.forms import AddressForm, JoinForm
from app.services import accounts, choices, letters, links
from app.services.accounts import AccountError
from app.services.letters import mail
from app.web import people
from app.web.tries import THROTTLED, may_mail

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue


@blueprint.route("/join", methods=["GET", "POST"])
def join() -> ResponseReturnValue:
    """Let somebody who was invited make an account, and sign them in."""
    form = JoinForm()
    link = _link(form, links.TO_JOIN)
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
    link = _link(form, links.TO_RESET)
    if form.validate_on_submit():
        try:
            links.reset(form.token.data or "", password=form.password.data)
        except AccountError as error:
            form.refuse(error)
        else:
            flash(_("The password is changed. Sign in with it."), "good")
            return redirect(url_for("console.login"))
    return render_template("console/reset.html", form=form, email=link)


@blueprint.route("/forgot", methods=["GET", "POST"])
def forgot() -> ResponseReturnValue:
    """Mail a way to another password; the answer is one for all addresses."""
    if not mail().offered:
        abort(404)
    text = _("We mail you a link at which you choose another password.")
    return _ask_for_mail(letters.to_another_password, title=_("Another password"), text=text)


@blueprint.route("/register", methods=["GET", "POST"])
def register() -> ResponseReturnValue:
    """Mail a way to an account to whoever may have one; the answer is one for all addresses of a domain."""
    chosen = choices.present()
    if not mail().offered or chosen.registration != choices.OPEN:
        abort(404)
    text = _("We mail you a link at which you choose your password.")
    return _ask_for_mail(letters.to_an_account, title=_("Make an account"), text=text, welcome=chosen.may_register)


def _ask_for_mail(
    send: Callable[..., None], *, title: str, text: str, welcome: Callable[[str], bool] = bool
) -> ResponseReturnValue:
    """Take an address and send; each one that is asked for counts, so that nobody's box can be flooded."""
    form, status, sent = AddressForm(), 200, False
    if form.validate_on_submit():
        try:
            email = accounts.normal_email(form.email.data)
            if not welcome(email):
                raise AccountError("email", _("Addresses of this domain can't register here."))
        except AccountError as error:
            form.refuse(error)
        else:
            sent = may_mail(form, email)
            status = 200 if sent else THROTTLED
            if sent:
                send(email, language=str(get_locale()))
    return render_template("console/by_mail.html", form=form, sent=sent, title=title, text=text), status


def _link(form: JoinForm, purposes: tuple[str, ...]) -> str:
    """Return whose link this is; one that is unknown, used or old is a page that isn't there."""
    if request.method == "GET":
        form.token.data = request.args.get("token", "")
    found = links.find(form.token.data or "", purposes)
    return found.email if found else abort(404)
