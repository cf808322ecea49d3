"""One's own tokens: list, make (shown once), change, rotate, revoke."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.console import blueprint
from app.console.connect import public_url, served_models, suggested_model
from app.console.forms import RevokeForm, RotateForm, TokenForm
from app.console.snippets import PROOFS, render
from app.services import allowances, reports
from app.services import tokens as service
from app.services.fields import FieldError
from app.services.reports import Scope
from app.services.tokens import Minted, TokenError
from app.web import reveal, times
from app.web.people import person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

SENT_AGAIN_AFTER = timedelta(minutes=2)
"""A form that comes back later than this isn't a second click: its secret has been shown and stays hidden."""


SPEND_DAYS = 30


@blueprint.get("/tokens")
def tokens() -> ResponseReturnValue:
    """List the visitor's tokens, revoked ones for a month more."""
    now = times.now()
    begin = reports.days_ago(SPEND_DAYS - 1, now)
    return render_template(
        "console/tokens.html",
        tokens=service.list_for(person().user),
        spend=dict(reports.grouped(Scope(user_id=person().user.id), "token_id", begin)),
        since=begin.date(),
        now=now,
    )


@blueprint.route("/tokens/new", methods=["GET", "POST"])
def new_token() -> ResponseReturnValue:
    """Make a token; the page after it shows the secret."""
    form = TokenForm([name for name, _kinds in served_models()])
    secret = reveal.unseal(form.once.data)
    if request.method == "POST" and secret is None:
        form.form_errors.append(_("This form has lain for too long. Check it and send it again."))
    elif form.validate_on_submit() and (answer := _mint(form, str(secret))):
        return answer
    if secret is None:
        form.once.data = reveal.seal(service.new_secret())
    return render_template("console/token_new.html", form=form)


@blueprint.get("/tokens/<int:token_id>/secret")
def token_secret(token_id: int) -> ResponseReturnValue:
    """Show a new token's secret, once."""
    token = _mine(token_id)
    secret = reveal.take()
    if secret is None or not secret.endswith(token.last4):
        flash(_("The secret of this token has been shown and can't be shown again."), "warn")
        return redirect(url_for("console.tokens"))
    allowed = token.models or None
    proofs = [
        (snippet, render(snippet, public_url(), suggested_model(snippet.protocol, allowed), token=secret))
        for snippet in PROOFS
        if suggested_model(snippet.protocol, allowed, strict=True)
    ]
    return render_template("console/token_secret.html", token=token, secret=secret, proofs=proofs)


@blueprint.route("/tokens/<int:token_id>", methods=["GET", "POST"])
def token(token_id: int) -> ResponseReturnValue:
    """Change what a token may do; its secret stays."""
    found = _mine(token_id, alive=True)
    names = [name for name, _kinds in served_models()]
    ends = found.expires_at and found.expires_at.astimezone(times.zone())
    form = TokenForm(
        [*names, *(name for name in found.models or () if name not in names)],
        data={
            "name": found.name,
            "expires_on": ends.date() if ends else None,
            "scope": "all" if found.models is None else "some",
            "models": found.models,
            "networks": "\n".join(found.networks or ()),
        },
    )
    if request.method == "GET":
        form.show(allowances.present("token", token_id))
    if form.validate_on_submit():
        kept = ends is not None and form.expires_on.data == ends.date()
        try:
            service.update(
                found,
                name=form.name.data,
                expires_at=ends if kept else form.expires_at,
                models=form.wanted_models,
                networks=form.wanted_networks,
                most=form.most,
                actor=person().user,
            )
        except FieldError as error:
            form.refuse(error)
        else:
            flash(_("Saved."), "good")
            return redirect(url_for("console.tokens"))
    return render_template("console/token.html", form=form, token=found)


@blueprint.route("/tokens/<int:token_id>/rotate", methods=["GET", "POST"])
def rotate_token(token_id: int) -> ResponseReturnValue:
    """Give a token's place to a new secret; the old one works on for as long as was asked."""
    found, form = _mine(token_id, alive=True), RotateForm()
    secret = reveal.unseal(form.once.data)
    if form.validate_on_submit() and secret is not None:
        try:
            overlap = timedelta(hours=form.overlap.data)
            return _show(service.rotate(found, overlap=overlap, actor=person().user, secret=secret))
        except TokenError as error:
            form.refuse(error)
    form.once.data = reveal.seal(service.new_secret())
    return render_template("console/token_rotate.html", form=form, token=found)


@blueprint.route("/tokens/<int:token_id>/revoke", methods=["GET", "POST"])
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Ask whether to revoke, then revoke."""
    token, form = _mine(token_id), RevokeForm()
    if request.method == "GET" and token.revoked_at is None:
        return render_template("console/token_revoke.html", token=token, form=form)
    if request.method == "POST":
        name = token.name
        service.revoke(token_id, actor=person().user, owner=person().user, cut=bool(form.cut.data))
        flash(_("The token %(name)s is revoked.", name=name), "good")
    return redirect(url_for("console.tokens"))


def _mint(form: TokenForm, secret: str) -> ResponseReturnValue | None:
    """Make the token and send the browser to its secret; None when ``form`` tells why not."""
    try:
        minted = service.mint(
            person().user,
            name=form.name.data,
            expires_at=form.expires_at,
            models=form.wanted_models,
            networks=form.wanted_networks,
            most=form.most,
            actor=person().user,
            secret=secret,
        )
    except FieldError as error:
        form.refuse(error)
        return None
    return _show(minted)


def _show(minted: Minted) -> ResponseReturnValue:
    """Send the browser to a new secret, unless that was shown before."""
    if minted.token.created_at < datetime.now(UTC) - SENT_AGAIN_AFTER:
        flash(_("This form was sent before: its token is in the list."), "warn")
        return redirect(url_for("console.tokens"))
    reveal.keep(minted.secret)
    return redirect(url_for("console.token_secret", token_id=minted.token.id))


def _mine(token_id: int, *, alive: bool = False) -> Any:
    """Return one of the visitor's tokens; with ``alive`` none that was revoked. Everything else is not found."""
    found = service.get_for(person().user, token_id)
    if found is None or (alive and found.revoked_at is not None):
        abort(404)
    return found
