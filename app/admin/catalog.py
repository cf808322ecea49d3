"""The catalogue: models, their routes, and what was asked for in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.admin import blueprint
from app.admin.deletion import ask_or_delete
from app.admin.forms import ModelForm, NewRouteForm, RenameForm, RouteForm
from app.services import catalog as service
from app.services import renaming, upstreams
from app.services.catalog import CatalogError
from app.web.people import password_again, person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/models", methods=["GET", "POST"])
def models() -> ResponseReturnValue:
    """List the catalogue; add a model by hand."""
    form = ModelForm(_upstream_names())
    if request.method == "GET":
        form.name.data = request.args.get("name", "")[:200]
    if form.validate_on_submit():
        try:
            service.import_models(
                form.upstream.data, {form.name.data: form.upstream_model.data or None}, actor=person().user
            )
        except CatalogError as error:
            form.refuse(error)
        else:
            flash(_("%(name)s is served now.", name=form.name.data), "good")
            return redirect(url_for("admin.models"))
    return render_template(
        "admin/models.html",
        form=form,
        models=service.list_models(),
        upstreams=upstreams.list_all(),
        asked=service.asked_not_served(),
    )


@blueprint.get("/models/<int:model_id>")
def model(model_id: int) -> ResponseReturnValue:
    """Show a model and its routes."""
    found = _existing(model_id)
    return render_template("admin/model.html", model=found, free=_free_upstreams(found))


@blueprint.post("/models/<int:model_id>/<any(enable, disable):what>")
def switch_model(model_id: int, what: str) -> ResponseReturnValue:
    """Enable or disable a model."""
    found = _existing(model_id)
    service.set_model_enabled(model_id, enabled=what == "enable", actor=person().user)
    said = _("%(name)s is enabled.") if what == "enable" else _("%(name)s is disabled: nobody can ask for it.")
    flash(said % {"name": found.name}, "good")
    return redirect(url_for("admin.models"))


@blueprint.route("/models/<int:model_id>/rename", methods=["GET", "POST"])
def rename_model(model_id: int) -> ResponseReturnValue:
    """Give a model another public name."""
    found = _existing(model_id)
    form, back = RenameForm(name=found.name), url_for("admin.model", model_id=model_id)
    if form.validate_on_submit():
        try:
            renaming.rename_model(model_id, form.name.data, actor=person().user)
        except CatalogError as error:
            form.refuse(error)
        else:
            flash(_("The model is called %(name)s now.", name=form.name.data), "good")
            return redirect(back)
    return render_template("admin/model_rename.html", form=form, model=_existing(model_id), back=back)


@blueprint.route("/models/<int:model_id>/delete", methods=["GET", "POST"])
@password_again
def delete_model(model_id: int) -> ResponseReturnValue:
    """Ask whether to delete a model, then delete it."""
    return ask_or_delete(
        title=_("Delete the model %(name)s", name=_existing(model_id).name),
        text=_("Its routes go with it; nobody can ask for it any more. Request records stay."),
        back=url_for("admin.model", model_id=model_id),
        then=url_for("admin.models"),
        act=lambda: service.delete_model(model_id, actor=person().user),
    )


@blueprint.route("/models/<int:model_id>/routes/new", methods=["GET", "POST"])
def new_route(model_id: int) -> ResponseReturnValue:
    """Let one more upstream serve a model."""
    found = _existing(model_id)
    form = NewRouteForm(_free_upstreams(found))
    return _fill_in(form, found, title=_("Add a route"))


@blueprint.route("/models/<int:model_id>/routes/<int:route_id>", methods=["GET", "POST"])
def edit_route(model_id: int, route_id: int) -> ResponseReturnValue:
    """Change how an upstream serves a model."""
    found = _existing(model_id)
    route = _route(found, route_id)
    form = RouteForm(obj=route)
    return _fill_in(form, found, title=_("Route to %(name)s", name=route.upstream.name), upstream_id=route.upstream_id)


@blueprint.route("/models/<int:model_id>/routes/<int:route_id>/delete", methods=["GET", "POST"])
@password_again
def delete_route(model_id: int, route_id: int) -> ResponseReturnValue:
    """Ask whether to delete a route, then delete it."""
    found = _existing(model_id)
    back = url_for("admin.model", model_id=model_id)
    return ask_or_delete(
        title=_("Delete the route to %(name)s", name=_route(found, route_id).upstream.name),
        text=_("This upstream gets no more requests for %(name)s.", name=found.name),
        back=back,
        then=back,
        act=lambda: service.delete_route(route_id, actor=person().user),
    )


def _fill_in(form: RouteForm, model: Any, *, title: str, upstream_id: int | None = None) -> ResponseReturnValue:
    """Show ``form`` until the route it describes is kept."""
    back = url_for("admin.model", model_id=model.id)
    if form.validate_on_submit():
        try:
            service.set_route(
                model.id,
                upstream_id=upstream_id if upstream_id is not None else form.data["upstream"],
                upstream_model=form.upstream_model.data or None,
                priority=form.priority.data,
                weight=form.weight.data,
                enabled=form.enabled.data,
                actor=person().user,
            )
        except CatalogError as error:
            form.refuse(error)
        else:
            flash(_("The route is kept."), "good")
            return redirect(back)
    return render_template("admin/route.html", form=form, model=model, title=title, back=back)


def _upstream_names() -> dict[int, str]:
    return {each.id: each.name for each in upstreams.list_all()}


def _free_upstreams(model: Any) -> dict[int, str]:
    """Return the upstreams that don't serve the model yet."""
    taken = {route.upstream_id for route in model.routes}
    return {number: name for number, name in _upstream_names().items() if number not in taken}


def _existing(model_id: int) -> Any:
    return service.get_model(model_id) or abort(404)


def _route(model: Any, route_id: int) -> Any:
    return next((route for route in model.routes if route.id == route_id), None) or abort(404)
