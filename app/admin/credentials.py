"""Credentials of upstreams: they go in here and are never shown again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _

from app.admin import blueprint
from app.admin.deletion import ask_or_delete
from app.admin.forms import CredentialForm, KeyForm
from app.services import upstreams as service
from app.services.upstreams import UpstreamError
from app.web.people import password_again, person

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask.typing import ResponseReturnValue


@blueprint.route("/upstreams/<int:upstream_id>/credentials/new", methods=["GET", "POST"])
@password_again
def new_credential(upstream_id: int) -> ResponseReturnValue:
    """Add a credential."""
    upstream = service.get(upstream_id) or abort(404)
    form = CredentialForm()
    return _fill_in(
        form,
        upstream,
        title=_("Add a credential"),
        act=lambda: service.add_credential(upstream_id, name=form.name.data, key=form.key.data, actor=person().user),
    )


@blueprint.route("/upstreams/<int:upstream_id>/credentials/<int:credential_id>/replace", methods=["GET", "POST"])
@password_again
def replace_credential(upstream_id: int, credential_id: int) -> ResponseReturnValue:
    """Give a credential another key."""
    upstream, credential = _existing(upstream_id, credential_id)
    form = KeyForm()
    return _fill_in(
        form,
        upstream,
        title=_("Replace the key of %(name)s", name=credential.name),
        act=lambda: service.replace_credential(credential_id, key=form.key.data, actor=person().user),
    )


@blueprint.route(
    "/upstreams/<int:upstream_id>/credentials/<int:credential_id>/<any(enable, disable):what>", methods=["POST"]
)
@password_again
def switch_credential(upstream_id: int, credential_id: int, what: str) -> ResponseReturnValue:
    """Enable or disable a credential."""
    _existing(upstream_id, credential_id)
    service.set_credential_enabled(credential_id, enabled=what == "enable", actor=person().user)
    return redirect(url_for("admin.upstream", upstream_id=upstream_id))


@blueprint.route("/upstreams/<int:upstream_id>/credentials/<int:credential_id>/delete", methods=["GET", "POST"])
@password_again
def delete_credential(upstream_id: int, credential_id: int) -> ResponseReturnValue:
    """Ask whether to delete a credential, then delete it."""
    _upstream, credential = _existing(upstream_id, credential_id)
    back = url_for("admin.upstream", upstream_id=upstream_id)
    return ask_or_delete(
        title=_("Delete the credential %(name)s", name=credential.name),
        text=_("Stored objects that were made with it can't be reached any more."),
        back=back,
        then=back,
        act=lambda: service.delete_credential(credential_id, actor=person().user),
    )


def _fill_in(form: KeyForm, upstream: Any, *, title: str, act: Callable[[], object]) -> ResponseReturnValue:
    """Show ``form`` until ``act`` takes what it holds."""
    back = url_for("admin.upstream", upstream_id=upstream.id)
    if form.validate_on_submit():
        try:
            act()
        except UpstreamError as error:
            form.refuse(error)
        else:
            flash(_("The key is kept. Test the upstream to see whether it is taken."), "good")
            return redirect(back)
    return render_template("admin/credential.html", form=form, upstream=upstream, title=title, back=back)


def _existing(upstream_id: int, credential_id: int) -> tuple[Any, Any]:
    upstream = service.get(upstream_id) or abort(404)
    return upstream, next((each for each in upstream.credentials if each.id == credential_id), None) or abort(404)
