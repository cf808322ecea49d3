"""ChatGPT accounts of upstreams: connect by a sign-in or an auth.json, connect again, ask for the allowance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.admin import blueprint
from app.admin.forms import AuthJsonForm, PastedForm
from app.services import codex_connect
from app.services import upstreams as service
from app.services.codex_connect import CodexError
from app.upstreams import UPSTREAMS
from app.web.people import password_again, person

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue

    from app.web.forms import Form


@blueprint.get("/upstreams/<int:upstream_id>/accounts/connect")
@password_again
def connect_account(upstream_id: int) -> ResponseReturnValue:
    """Show the ways to connect an account."""
    return _page(_existing(upstream_id))


@blueprint.route("/upstreams/<int:upstream_id>/accounts/sign-in", methods=["GET", "POST"])
@password_again
def sign_in_account(upstream_id: int) -> ResponseReturnValue:
    """Begin a sign-in and show where it is made, and where its outcome is pasted."""
    upstream = _existing(upstream_id)
    if request.method == "GET":  # back from the password page
        return _page(upstream)
    return _page(upstream, sign_in_at=codex_connect.start(upstream_id, actor=person().user))


@blueprint.post("/upstreams/<int:upstream_id>/accounts/finish")
def finish_account(upstream_id: int) -> ResponseReturnValue:
    """End a sign-in by what was pasted: only whoever began it can, who gave the password then."""
    form = PastedForm()
    act = lambda: codex_connect.finish(upstream_id, form.pasted.data, actor=person().user)  # noqa: E731
    return _connected(_existing(upstream_id), form, act, pasting=form)


@blueprint.route("/upstreams/<int:upstream_id>/accounts/import", methods=["GET", "POST"])
@password_again
def import_account(upstream_id: int) -> ResponseReturnValue:
    """Take an account over that is signed in elsewhere."""
    form = AuthJsonForm()
    act = lambda: codex_connect.connect(  # noqa: E731
        upstream_id, codex_connect.read_file(form.auth_json.data or ""), actor=person().user
    )
    return _connected(_existing(upstream_id), form, act, importing=form)


@blueprint.post("/upstreams/<int:upstream_id>/accounts/<int:credential_id>/allowance")
def ask_allowance(upstream_id: int, credential_id: int) -> ResponseReturnValue:
    """Ask the provider how much of an account's allowance is used."""
    _existing(upstream_id)
    try:
        codex_connect.ask_quota(upstream_id, credential_id)
    except CodexError as error:
        flash(str(error), "bad")
    return redirect(url_for("admin.upstream", upstream_id=upstream_id))


def _connected(
    upstream: Any, form: Form, act: Callable[[], None], **shown: PastedForm | AuthJsonForm
) -> ResponseReturnValue:
    if form.validate_on_submit():
        try:
            act()
        except CodexError as error:
            form.refuse(error)
        else:
            flash(_("The account is connected."), "good")
            return redirect(url_for("admin.upstream", upstream_id=upstream.id))
    return _page(upstream, **shown)


def _page(upstream: Any, *, sign_in_at: str = "", **forms: PastedForm | AuthJsonForm) -> ResponseReturnValue:
    """Show all ways in; a form that was sent comes with its mistakes, the others are empty."""
    return render_template(
        "admin/codex_connect.html",
        upstream=upstream,
        sign_in_at=sign_in_at,
        pasting=forms.get("pasting") or PastedForm(formdata=None),
        importing=forms.get("importing") or AuthJsonForm(formdata=None),
    )


def _existing(upstream_id: int) -> Any:
    upstream = service.get(upstream_id) or abort(404)
    return upstream if UPSTREAMS[upstream.kind].signs_in else abort(404)
