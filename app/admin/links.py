"""Links to hand over: invitations and ways to another password. Each is shown once, and works once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import get_locale
from flask_babel import gettext as _

from app.admin import blueprint
from app.admin.forms import InvitationForm
from app.services import accounts, letters, links, sign_ins, tokens
from app.services.accounts import AccountError
from app.services.letters import mail
from app.web.people import password_again, person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/users/invite", methods=["GET", "POST"])
@password_again
def invite() -> ResponseReturnValue:
    """Make an invitation and show its link."""
    form, link = InvitationForm(), ""
    if form.validate_on_submit():
        try:
            link = links.invite(email=form.email.data, role=form.role.data, actor=person().user)
            if mail().offered:
                letters.invitation(accounts.normal_email(form.email.data), link, language=str(get_locale()))
        except AccountError as error:
            form.refuse(error)
    return render_template(
        "admin/invite.html", form=form, link=link, invitations=links.invitations(), by_mail=mail().offered
    )


@blueprint.post("/users/invite/<digest>/withdraw")
def withdraw_invitation(digest: str) -> ResponseReturnValue:
    """Let an invitation work no more."""
    links.withdraw(digest, actor=person().user)
    flash(_("The invitation is withdrawn."), "good")
    return redirect(url_for("admin.invite"))


@blueprint.route("/users/<int:user_id>/reset-link", methods=["GET", "POST"])
@password_again
def reset_link(user_id: int) -> ResponseReturnValue:
    """Make a link at which a user chooses another password."""
    found = accounts.get_user(user_id) or abort(404)
    link = links.to_reset(user_id, actor=person().user) if request.method == "POST" else ""
    return render_template("admin/reset_link.html", user=found, link=link)


@blueprint.post("/users/<int:user_id>/sign-out")
def sign_out_user(user_id: int) -> ResponseReturnValue:
    """End every sign-in of a user."""
    found = accounts.get_user(user_id) or abort(404)
    email = found.email
    sign_ins.end_all(user_id, actor=person().user)
    flash(_("%(email)s is signed out everywhere.", email=email), "good")
    return redirect(url_for("admin.user", user_id=user_id))


@blueprint.route("/users/<int:user_id>/tokens/<int:token_id>/revoke", methods=["GET", "POST"])
def revoke_users_token(user_id: int, token_id: int) -> ResponseReturnValue:
    """Ask whether to revoke a user's token, then revoke it and end what runs with it."""
    found = accounts.get_user(user_id) or abort(404)
    if request.method == "GET":
        token = tokens.get_for(found, token_id) or abort(404)
        return render_template("admin/token_revoke.html", user=found, token=token)
    if not tokens.revoke(token_id, actor=person().user, owner=found, cut=True):
        abort(404)
    flash(_("The token is revoked, and its running calls are ended."), "good")
    return redirect(url_for("admin.user", user_id=user_id))
