"""One's own account: password, language, time zone, signed-in browsers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import refresh

from app.console import blueprint
from app.console.forms import LocaleForm, PasswordForm, TimeZoneForm
from app.services import accounts, passwords, second_factor, sign_ins
from app.web.people import person
from app.web.tries import ENTERED, one_try

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/account")
def account() -> ResponseReturnValue:
    """Show the account."""
    return _page()


@blueprint.post("/account/password")
def change_password() -> ResponseReturnValue:
    """Change the password; this browser stays signed in under a new sign-in, others only if asked to end."""
    form = PasswordForm()
    user = person().user
    if not form.validate_on_submit():
        return _page(password=form)
    # Before the try: a right present password signs in anew, and only a redirect may follow that.
    if complaint := passwords.complaint(form.new.data):
        form.new.errors = [complaint]
        return _page(password=form)
    status = one_try(
        form,
        email=user.email,
        check=lambda: accounts.authenticate(user.email, form.current.data),
        refusal=_("This isn't your present password."),
    )
    if status != ENTERED:
        return _page(password=form), status
    accounts.change_password(user, current=form.current.data, new=form.new.data)
    flash(_("Your password is changed. Other browsers are still signed in: end them below."), "good")
    return redirect(url_for("console.account"))


@blueprint.post("/account/language")
def change_language() -> ResponseReturnValue:
    """Keep the language of one's pages."""
    form = LocaleForm()
    if form.validate_on_submit():
        accounts.set_locale(person().user, form.locale.data or None)
        refresh()
        flash(_("The language is changed."), "good")
        return redirect(url_for("console.account"))
    return _page(locale=form)


@blueprint.post("/account/time-zone")
def change_time_zone() -> ResponseReturnValue:
    """Keep the zone that one's pages tell times in."""
    form = TimeZoneForm()
    if form.validate_on_submit():
        accounts.set_time_zone(person().user, form.time_zone.data)
        flash(_("Times are told in %(zone)s now.", zone=form.time_zone.data), "good")
        return redirect(url_for("console.account"))
    return _page(time_zone=form)


@blueprint.post("/account/sign-ins/<name>/end")
def end_sign_in(name: str) -> ResponseReturnValue:
    """Sign one browser out, this one too."""
    if sign_ins.end_one(person().user, name):
        flash(_("That browser is signed out."), "good")
    else:
        flash(_("That browser isn't signed in any more."), "warn")
    return redirect(url_for("console.account"))


@blueprint.post("/account/end-others")
def end_others() -> ResponseReturnValue:
    """Sign out every other browser."""
    sign_ins.end_others(person().user, keep=person().secret)
    flash(_("All other browsers are signed out."), "good")
    return redirect(url_for("console.account"))


def _page(
    *, password: PasswordForm | None = None, locale: LocaleForm | None = None, time_zone: TimeZoneForm | None = None
) -> str:
    user = person().user
    return render_template(
        "console/account.html",
        user=user,
        password=password or PasswordForm(formdata=None),
        locale=locale or LocaleForm(formdata=None, locale=user.locale or ""),
        time_zone=time_zone or TimeZoneForm(formdata=None, time_zone=user.time_zone or "UTC"),
        has_second_factor=second_factor.is_on(user.id),
        browsers=[
            (each, sign_ins.name_of(each), sign_ins.is_this(each, person().secret)) for each in sign_ins.list_for(user)
        ],
    )
