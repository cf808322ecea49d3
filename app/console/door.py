"""In and out: set-up, sign in, sign out, the password once more, and the language of who is nobody yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.console import blueprint
from app.console.forms import CodeForm, ConfirmForm, LoginForm, SetupForm
from app.services import accounts, choices, second_factor, setup, sign_ins
from app.services.accounts import AccountError
from app.services.context import context
from app.services.letters import mail
from app.web import people
from app.web.locale import COOKIE, LANGUAGES
from app.web.people import person
from app.web.redirects import safe_next
from app.web.tries import ENTERED, HALFWAY, one_try

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

YEAR_S = 365 * 24 * 3600


@blueprint.route("/setup", methods=["GET", "POST"], endpoint="setup")
def set_up() -> ResponseReturnValue:
    """Make the first administrator, sign them in and lead them to the guide."""
    form = SetupForm()
    if request.method == "GET":
        form.token.data = request.args.get("token", "")
    if not setup.accepts(form.token.data or ""):
        abort(404)
    if form.validate_on_submit():
        try:
            user = setup.create_first_admin(email=form.email.data, password=form.password.data, name=form.name.data)
        except AccountError as error:
            if not setup.is_open():
                abort(404)
            form.refuse(error)
        else:
            people.sign_in(user)
            return redirect(url_for("console.dashboard"))
    return render_template("console/setup.html", form=form)


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Sign somebody in; unknown, wrong and disabled look alike."""
    if person().is_authenticated:
        return redirect(safe_next(request.args.get("next")))
    form = LoginForm()
    status = 200
    if form.validate_on_submit():
        status = one_try(
            form,
            email=form.email.data,
            check=lambda: accounts.authenticate(form.email.data, form.password.data),
            refusal=_("This e-mail address and password don't go together."),
            alone=False,
        )
        if status == ENTERED:
            return redirect(safe_next(request.args.get("next")))
        if status == HALFWAY:
            return redirect(url_for("console.code", next=request.args.get("next")))
    return render_template(
        "console/login.html", form=form, setup_open=setup.is_open(), chosen=choices.present(), by_mail=mail().offered
    ), status


@blueprint.route("/login/code", methods=["GET", "POST"])
def code() -> ResponseReturnValue:
    """Ask who gave the right password for the second factor, and only then sign them in."""
    user = people.awaited()
    if user is None:
        return redirect(url_for("console.login", next=request.args.get("next")))
    form, status, user_id = CodeForm(), 200, user.id
    if form.validate_on_submit():
        status = one_try(
            form,
            email=user.email,
            check=lambda: accounts.get_user(user_id) if second_factor.accepts(user_id, form.code.data) else None,
            refusal=_("This code isn't right, or was used before. Wait for the next one."),
        )
        if status == ENTERED:
            return redirect(safe_next(request.args.get("next")))
    return render_template("console/code.html", form=form), status


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Sign this browser out."""
    people.sign_out()
    return redirect(url_for("console.login"))


@blueprint.route("/confirm", methods=["GET", "POST"])
def confirm() -> ResponseReturnValue:
    """Ask for the password again, then go on to where it was needed."""
    form = ConfirmForm()
    status = 200
    if form.validate_on_submit():
        user, secret = person().user, person().secret
        status = one_try(
            form,
            email=user.email,
            check=lambda: user if sign_ins.confirm(secret, form.password.data) else None,
            refusal=_("This isn't your password."),
        )
        if status == ENTERED:
            return redirect(safe_next(request.args.get("next")))
    return render_template("console/confirm.html", form=form), status


@blueprint.post("/language")
def language() -> ResponseReturnValue:
    """Keep the language in a cookie, and in the profile of somebody who is signed in."""
    wanted = request.form.get("language", "")
    if wanted not in LANGUAGES:
        abort(400)
    if person().is_authenticated:
        accounts.set_locale(person().user, wanted)
    response = make_response(redirect(safe_next(request.form.get("next"))))
    secure = context().settings.https
    response.set_cookie(COOKIE, wanted, max_age=YEAR_S, secure=secure, httponly=True, samesite="Lax")
    return response
