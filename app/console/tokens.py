"""One's own tokens: list, make (shown once), revoke."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.console import blueprint
from app.console.connect import public_url, served_models, suggested_model
from app.console.forms import TokenForm
from app.console.snippets import PROOFS, render
from app.services import tokens as service
from app.services.tokens import TokenError
from app.web import reveal
from app.web.people import person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

SENT_AGAIN_AFTER = timedelta(minutes=2)
"""A form that comes back later than this isn't a second click: its secret has been shown and stays hidden."""


@blueprint.get("/tokens")
def tokens() -> ResponseReturnValue:
    """List the visitor's tokens, revoked ones for a month more."""
    return render_template("console/tokens.html", tokens=service.list_for(person().user), now=datetime.now(UTC))


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
    token = service.get_for(person().user, token_id)
    if token is None:
        abort(404)
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


@blueprint.route("/tokens/<int:token_id>/revoke", methods=["GET", "POST"])
def revoke_token(token_id: int) -> ResponseReturnValue:
    """Ask whether to revoke, then revoke."""
    token = service.get_for(person().user, token_id)
    if token is None:
        abort(404)
    if request.method == "GET" and token.revoked_at is None:
        return render_template("console/token_revoke.html", token=token)
    if request.method == "POST":
        name = token.name
        service.revoke(token_id, actor=person().user, owner=person().user)
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
            actor=person().user,
            secret=secret,
        )
    except TokenError as error:
        form.refuse(error)
        return None
    if minted.token.created_at < datetime.now(UTC) - SENT_AGAIN_AFTER:
        flash(_("This form was sent before: its token is in the list."), "warn")
        return redirect(url_for("console.tokens"))
    reveal.keep(minted.secret)
    return redirect(url_for("console.token_secret", token_id=minted.token.id))
