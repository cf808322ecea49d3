"""One's second factor: set up, new recovery codes, turned off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import segno
from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _

from app.console import blueprint
from app.console.forms import EnrolForm, FactorForm
from app.services import accounts
from app.services import second_factor as service
from app.services.accounts import AccountError
from app.web import reveal
from app.web.people import person
from app.web.tries import ENTERED, one_try

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

SECRET, CODES = "second factor", "recovery codes"
"""What is sealed into a form, and what is shown once."""


@blueprint.get("/account/second-factor")
def second_factor() -> ResponseReturnValue:
    """Show the way to a second factor, or what can be done with the one that is there."""
    return _page(FactorForm(formdata=None)) if service.is_on(person().user.id) else _enrol(EnrolForm(formdata=None))


@blueprint.post("/account/second-factor/on")
def turn_on_second_factor() -> ResponseReturnValue:
    """Ask for codes at each sign-in from now on, once a code and the password were right."""
    form, user = EnrolForm(), person().user
    secret = reveal.unseal(form.once.data, SECRET)
    if not form.validate_on_submit() or secret is None:
        return _enrol(form)
    if service.step_of(secret, form.code.data) is None:
        form.code.errors = [_("This isn't the code that goes with it now. Is the clock of your device right?")]
        return _enrol(form)
    status = one_try(
        form,
        email=user.email,
        check=lambda: accounts.authenticate(user.email, form.password.data),
        refusal=_("This isn't your password."),
    )
    if status != ENTERED:
        return _enrol(form), status
    try:
        return _show(service.turn_on(user, secret=secret, code=form.code.data))
    except AccountError as error:
        flash(str(error), "bad")
        return redirect(url_for("console.second_factor"))


@blueprint.post("/account/second-factor/codes")
def new_recovery_codes() -> ResponseReturnValue:
    """Make new recovery codes."""
    form = FactorForm()
    status = _try(form)
    return _show(service.new_codes(person().user)) if status == ENTERED else (_page(form), status)


@blueprint.post("/account/second-factor/off")
def turn_off_second_factor() -> ResponseReturnValue:
    """Ask for no codes any more."""
    form = FactorForm()
    status = _try(form)
    if status != ENTERED:
        return _page(form), status
    try:
        service.turn_off(person().user.id, actor=person().user)
    except AccountError as error:
        flash(str(error), "bad")
        return redirect(url_for("console.second_factor"))
    flash(_("Signing in asks for the password alone now."), "good")
    return redirect(url_for("console.account"))


@blueprint.get("/account/recovery-codes")
def recovery_codes() -> ResponseReturnValue:
    """Show new recovery codes, this once."""
    codes = reveal.take(CODES)
    if codes is None:
        return redirect(url_for("console.second_factor"))
    return render_template("console/recovery_codes.html", codes=codes)


def _try(form: FactorForm) -> int:
    """Judge password and code together, so that neither can be guessed by itself."""
    user_id, email = person().user.id, person().user.email
    if not form.validate_on_submit():
        return 200
    return one_try(
        form,
        email=email,
        check=lambda: accounts.get_user(user_id) if _right(form, email, user_id) else None,
        refusal=_("The password or the code isn't right. A code works once: wait for the next one."),
    )


def _right(form: FactorForm, email: str, user_id: int) -> bool:
    known = accounts.authenticate(email, form.password.data) is not None
    return known and service.accepts(user_id, form.code.data)


def _show(codes: list[str]) -> ResponseReturnValue:
    reveal.keep("\n".join(codes), CODES)
    return redirect(url_for("console.recovery_codes"))


def _page(form: FactorForm) -> str:
    return render_template("console/second_factor.html", form=form, left=service.codes_left(person().user.id))


def _enrol(form: EnrolForm) -> str:
    """Keep to the secret of a form that was sent with a mistake; its password is asked for again."""
    secret = reveal.unseal(form.once.data, SECRET) or service.new_secret()
    form.once.data = reveal.seal(secret, SECRET)
    picture = segno.make(service.address(person().user, secret), micro=False)
    return render_template(
        "console/second_factor_new.html",
        form=form,
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        picture=picture.svg_data_uri(scale=5, border=4, light="#fff"),
    )
