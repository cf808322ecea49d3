"""The catalogue: which models there are, and which upstreams serve them under which names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import delete as delete_rows
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from app.extensions import db
from app.models import DailyRollup, Model, Rollup, Route, Upstream
from app.models.base import utcnow
from app.services.changes import change
from app.services.context import context
from app.services.fields import FieldError, line, number
from app.services.upstreams import PRIORITIES, WEIGHTS
from app.services.wording import say as _

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Select

    from app.models import User
    from app.services.changes import Change

NAME_LONGEST = 200
ASKED_FOR = timedelta(days=30)
PATTERNS_MOST = 200
"""So many names that a pattern serves may stand before those that nobody serves."""


class CatalogError(FieldError):
    """Something about models or routes that can't be done as asked."""


class Asked(NamedTuple):
    """A model that was asked for and isn't served: how often, and in which hour last."""

    model: str
    times: int
    last_at: datetime


def list_models() -> list[Model]:
    """Return the catalogue by name, with routes and their upstreams."""
    return list(db.session.scalars(_whole().order_by(Model.name)))


def get_model(model_id: int) -> Model | None:
    """Return the model with its routes and their upstreams."""
    return db.session.scalar(_whole().where(Model.id == model_id))


def find_model(name: str) -> Model | None:
    """Return the model of this very name."""
    return db.session.scalar(select(Model).where(Model.name == name))


def import_models(upstream_id: int, wanted: Mapping[str, str | None], *, actor: User | None) -> int:
    """Route each public name in ``wanted`` to the upstream, there under the name it maps to (None: the same).

    Return how many routes are new or changed. Raises ``CatalogError``.
    """
    names = {normal_name(public): _upstream_name(public, theirs) for public, theirs in wanted.items()}
    with change("models.import", "upstream", actor=actor) as told:
        upstream = _upstream(upstream_id)
        told.target = f"upstream {upstream.name}"
        changed = [public for public, theirs in names.items() if _import(upstream, public, upstream_model=theirs)]
        told.after = {"models": changed}
    return len(changed)


def put_model(name: str, *, owned_by: str, enabled: bool, actor: User | None) -> Model:
    """Return the model of this name, made or changed. Raises ``CatalogError``."""
    name = normal_name(name)
    owned_by = line(owned_by, field="owned_by", longest=100, refuse=CatalogError, empty=True)
    with change("model.set", f"model {name}", actor=actor) as told:
        model = find_model(name)
        told.before = {"owned_by": model.owned_by, "enabled": model.enabled} if model else None
        model = model or Model(name=name)
        model.owned_by, model.enabled = owned_by, enabled
        told.after = {"owned_by": owned_by, "enabled": enabled}
        db.session.add(model)
        db.session.flush()
    return model


def set_model_enabled(model_id: int, *, enabled: bool, actor: User | None) -> None:
    """Serve the model from now on, or don't. Raises ``CatalogError`` when there is none such."""
    with change("model.enable" if enabled else "model.disable", "model", actor=actor) as told:
        _model(told, model_id).enabled = enabled


def delete_model(model_id: int, *, actor: User | None) -> None:
    """Forget the model and its routes. Raises ``CatalogError`` when there is none such."""
    with change("model.delete", "model", actor=actor) as told:
        _model(told, model_id)
        db.session.execute(delete_rows(Route).where(Route.model_id == model_id))
        db.session.execute(delete_rows(Model).where(Model.id == model_id))


def set_route(
    model_id: int,
    *,
    upstream_id: int,
    upstream_model: str | None = None,
    priority: int | None = None,
    weight: int | None = None,
    enabled: bool = True,
    actor: User | None,
) -> Route:
    """Return the route of the model to the upstream, made or changed; null priority and weight are the upstream's own.

    Raises ``CatalogError`` for the field that can't be used.
    """
    _check_order(priority, weight)
    with change("route.set", "route", actor=actor) as told:
        model, upstream = _model(told, model_id), _upstream(upstream_id)
        route = _route(model, upstream) or Route(model_id=model_id, upstream_id=upstream_id)
        told.target = f"route {model.name} to {upstream.name}"
        told.before = _shown(route) if route.id else None
        route.upstream_model = _upstream_name(model.name, upstream_model)
        route.priority, route.weight, route.enabled = priority, weight, enabled
        db.session.add(route)
        told.after = _shown(route)
    return route


def delete_route(route_id: int, *, actor: User | None) -> None:
    """Forget the route; its model stays in the catalogue. Raises ``CatalogError`` when there is none such."""
    with change("route.delete", "route", actor=actor) as told:
        whole = select(Route).options(joinedload(Route.model), joinedload(Route.upstream))
        route = db.session.scalar(whole.where(Route.id == route_id))
        if route is None:
            raise CatalogError("", _("There is no such route."))
        told.target, told.before = f"route {route.model.name} to {route.upstream.name}", _shown(route)
        db.session.execute(delete_rows(Route).where(Route.id == route_id))


def asked_not_served(limit: int = 50) -> list[Asked]:
    """Return the models that were asked for in these weeks and aren't served, the most wanted first.

    The sums tell it, not the records, of which there may be too many: no upstream was reached for such a model.
    """
    begin, times = utcnow() - ASKED_FOR, func.sum(DailyRollup.requests)
    served = select(Model.name).where(Model.enabled)
    nowhere = DailyRollup.day >= begin, DailyRollup.upstream_id == 0, DailyRollup.model.not_in(served)
    wanted = select(DailyRollup.model, times).where(*nowhere).group_by(DailyRollup.model)
    rows = db.session.execute(wanted.order_by(times.desc(), DailyRollup.model).limit(limit + PATTERNS_MOST)).all()
    snapshot = context().directory.snapshot
    found = {model: int(count) for model, count in rows if model and snapshot.model(model) is None}
    hours = select(Rollup.model, func.max(Rollup.hour)).where(Rollup.model.in_(found), Rollup.upstream_id == 0)
    last = {row[0]: row[1] for row in db.session.execute(hours.group_by(Rollup.model))}
    return [Asked(model, count, last[model]) for model, count in list(found.items())[:limit]]


def _whole() -> Select[Model]:
    whole = select(Model).options(selectinload(Model.routes).joinedload(Route.upstream))
    return whole.execution_options(populate_existing=True)


def _import(upstream: Upstream, public: str, *, upstream_model: str | None) -> bool:
    model = db.session.scalar(select(Model).where(Model.name == public))
    if model is None:
        model = Model(name=public, owned_by=upstream.kind)
        db.session.add(model)
        db.session.flush()
    route = _route(model, upstream)
    if route is not None and route.upstream_model == upstream_model:
        return False
    if route is None:
        route = Route(model_id=model.id, upstream_id=upstream.id)
        db.session.add(route)
    route.upstream_model = upstream_model
    return True


def _route(model: Model, upstream: Upstream) -> Route | None:
    return db.session.scalar(select(Route).where(Route.model_id == model.id, Route.upstream_id == upstream.id))


def _model(told: Change, model_id: int) -> Model:
    model = db.session.get(Model, model_id, populate_existing=True)
    if model is None:
        raise CatalogError("", _("There is no such model."))
    told.target = f"model {model.name}"
    return model


def _upstream(upstream_id: int) -> Upstream:
    upstream = db.session.get(Upstream, upstream_id)
    if upstream is None:
        raise CatalogError("upstream", _("There is no such upstream."))
    return upstream


def normal_name(text: str) -> str:
    """Return a public name as it is kept. Raises ``CatalogError`` for what can't be one."""
    name = line(text, field="name", longest=NAME_LONGEST, refuse=CatalogError)
    if " " in name or "*" in name[:-1]:
        raise CatalogError("name", _("A model's name has no spaces, and a * only at its end."))
    return name


def _upstream_name(public: str, theirs: str | None) -> str | None:
    """Return the upstream's own name for a model, or None where it is the public one."""
    if theirs is None or not theirs.strip():
        return None
    name = line(theirs, field="upstream_model", longest=NAME_LONGEST, refuse=CatalogError)
    return None if name == public else name


def _check_order(priority: int | None, weight: int | None) -> None:
    for field, value, (low, high) in (("priority", priority, PRIORITIES), ("weight", weight, WEIGHTS)):
        if value is not None:
            number(value, field=field, lowest=low, highest=high, refuse=CatalogError)


def _shown(route: Route) -> dict[str, object]:
    return {name: getattr(route, name) for name in ("upstream_model", "priority", "weight", "enabled")}
