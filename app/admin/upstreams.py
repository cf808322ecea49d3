"""Upstreams: list, add and test at once, change, disable, delete, and pick their models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Response, abort, flash, redirect, render_template, session, stream_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext

from app.admin import blueprint
from app.admin.deletion import ask_or_delete
from app.admin.forms import NewUpstreamForm, PickForm, UpstreamForm
from app.admin.states import states
from app.services import catalog, codex_connect, glance, tokens
from app.services import upstreams as service
from app.services.catalog import CatalogError
from app.services.fields import FieldError
from app.services.trial import walk
from app.services.upstreams import UpstreamError
from app.upstreams import UPSTREAMS
from app.web import times
from app.web.people import password_again, person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

TO_TEST = "to_test"
"""In the session: the upstream whose page tests it, once."""


@blueprint.get("/upstreams")
def upstreams() -> ResponseReturnValue:
    """List the upstreams."""
    # The catalogue first: reading it anew lets go of what was loaded beside its upstreams.
    models = catalog.list_models()
    found = service.list_all()
    day = glance.day(times.now())
    return render_template(
        "admin/upstreams.html",
        upstreams=found,
        states=states(found, day.upstreams),
        since=times.written(day.begin),
        kinds=UPSTREAMS,
        models=models,
    )


@blueprint.route("/upstreams/new", methods=["GET", "POST"])
@password_again
def new_upstream() -> ResponseReturnValue:
    """Add an upstream and test it at once."""
    form = NewUpstreamForm()
    if form.validate_on_submit():
        try:
            upstream = service.create(
                name=form.name.data,
                preset=form.preset.data or "",
                kind="" if form.preset.data else form.kind.data,
                base_url=form.base_url.data or "",
                key=form.wanted_key,
                priority=form.priority.data,
                weight=form.weight.data,
                proxy=form.proxy.data,
                proxy_login=form.proxy_login.data,
                actor=person().user,
            )
        except FieldError as error:
            form.refuse(error)
        else:
            if UPSTREAMS[upstream.kind].signs_in:
                return redirect(url_for("admin.connect_account", upstream_id=upstream.id))
            session[TO_TEST] = upstream.id
            return redirect(url_for("admin.upstream", upstream_id=upstream.id))
    return render_template("admin/upstream_new.html", form=form, kinds=UPSTREAMS)


@blueprint.get("/upstreams/<int:upstream_id>")
def upstream(upstream_id: int) -> ResponseReturnValue:
    """Show an upstream with its credentials, its models and, when that was asked for, how its test goes on."""
    routes = _routes(upstream_id)  # first, see above
    found = _existing(upstream_id)
    tested = session.pop(TO_TEST, None) == upstream_id
    kind = UPSTREAMS[found.kind]
    accounts = codex_connect.accounts(upstream_id) if kind.signs_in else []
    day = glance.day(times.now())
    now, since = states([found], day.upstreams)[found.id], times.written(day.begin)
    shown = {"upstream": found, "kind": kind, "routes": routes, "accounts": accounts, "now": now, "since": since}
    if not tested:
        return render_template("admin/upstream.html", **shown)
    # Sent as it is written, so that each step is seen when it begins; no proxy in front may hold it together.
    page = Response(stream_template("admin/upstream.html", steps=walk(found), **shown))
    page.headers["X-Accel-Buffering"] = "no"
    return page


@blueprint.post("/upstreams/<int:upstream_id>/test")
def test_upstream(upstream_id: int) -> ResponseReturnValue:
    """Have an upstream tested by the page that follows, which shows how it goes."""
    _existing(upstream_id)
    session[TO_TEST] = upstream_id
    return redirect(url_for("admin.upstream", upstream_id=upstream_id))


@blueprint.route("/upstreams/<int:upstream_id>/edit", methods=["GET", "POST"])
@password_again
def edit_upstream(upstream_id: int) -> ResponseReturnValue:
    """Change an upstream."""
    found = _existing(upstream_id)
    form = UpstreamForm(obj=found)
    if form.validate_on_submit():
        try:
            service.update(
                upstream_id,
                name=form.name.data,
                base_url=form.base_url.data or "",
                priority=form.priority.data,
                weight=form.weight.data,
                key=form.key.data or None,
                actor=person().user,
            )
        except UpstreamError as error:
            form.refuse(error)
        else:
            flash(_("The upstream is changed."), "good")
            return redirect(url_for("admin.upstream", upstream_id=upstream_id))
    return render_template("admin/upstream_edit.html", form=form, upstream=found, kind=UPSTREAMS[found.kind])


@blueprint.post("/upstreams/<int:upstream_id>/<any(enable, disable):what>")
def switch_upstream(upstream_id: int, what: str) -> ResponseReturnValue:
    """Enable or disable an upstream."""
    found = _existing(upstream_id)
    service.set_enabled(upstream_id, enabled=what == "enable", actor=person().user)
    said = _("%(name)s is enabled.") if what == "enable" else _("%(name)s is disabled: it gets no more calls.")
    flash(said % {"name": found.name}, "good")
    return redirect(url_for("admin.upstream", upstream_id=upstream_id))


@blueprint.route("/upstreams/<int:upstream_id>/delete", methods=["GET", "POST"])
@password_again
def delete_upstream(upstream_id: int) -> ResponseReturnValue:
    """Ask whether to delete an upstream, then delete it."""
    found = _existing(upstream_id)
    return ask_or_delete(
        title=_("Delete the upstream %(name)s", name=found.name),
        text=_("Its credentials and routes go with it, and stored objects that live there can't be reached any more."),
        back=url_for("admin.upstream", upstream_id=upstream_id),
        then=url_for("admin.upstreams"),
        act=lambda: service.delete(upstream_id, actor=person().user),
    )


@blueprint.route("/upstreams/<int:upstream_id>/models", methods=["GET", "POST"])
def pick_models(upstream_id: int) -> ResponseReturnValue:
    """Tick models of the upstream's own list, or name others."""
    found = _existing(upstream_id)
    listed, problem = _listed(upstream_id)
    served = {route.upstream_model or model.name for model, route in _routes(upstream_id)}
    offered = [name for name in listed if name not in served]
    form = PickForm(offered)
    if form.validate_on_submit():
        try:
            return _import(upstream_id, form.wanted(offered))
        except CatalogError as error:
            error.field = "others"
            form.refuse(error)
    return render_template(
        "admin/pick_models.html", form=form, upstream=found, problem=problem, served=len(served), offered=offered
    )


def _import(upstream_id: int, wanted: dict[str, str | None]) -> ResponseReturnValue:
    if not wanted:
        raise CatalogError("others", _("Tick at least one model, or name one."))
    count = catalog.import_models(upstream_id, wanted, actor=person().user)
    flash(ngettext("%(num)d model is served now.", "%(num)d models are served now.", count), "good")
    in_guide = not any(token.revoked_at is None for token in tokens.list_for(person().user))
    return redirect(url_for("console.dashboard" if in_guide else "admin.models"))


def _listed(upstream_id: int) -> tuple[list[str], str]:
    """Return the upstream's own list, or why there is none."""
    try:
        return service.remote_models(upstream_id), ""
    except UpstreamError as error:
        return [], str(error)


def _routes(upstream_id: int) -> list[tuple[Any, Any]]:
    """Return the models that an upstream serves, each with its route."""
    models = catalog.list_models()
    return [(model, route) for model in models for route in model.routes if route.upstream_id == upstream_id]


def _existing(upstream_id: int) -> Any:
    return service.get(upstream_id) or abort(404)
