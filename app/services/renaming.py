"""Gives a model another public name, and takes along what goes by the old one: routes, tokens' lists, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from app.extensions import db
from app.models import Limit, Model, Route, Token
from app.services import catalog
from app.services.catalog import CatalogError
from app.services.changes import change
from app.services.wording import say as _

if TYPE_CHECKING:
    from app.models import User


def rename_model(model_id: int, name: str, *, actor: User | None) -> None:
    """Let people ask for a model by ``name`` from now on, and no longer by its old one; upstreams see no difference.

    Records keep the name of their time. Raises ``CatalogError``: no such model, a pattern, a name that is taken or
    none.
    """
    name = catalog.normal_name(name)
    with change("model.rename", "model", actor=actor) as told:
        model = db.session.get(Model, model_id, populate_existing=True)
        if model is None:
            raise CatalogError("", _("There is no such model."))
        old = model.name
        told.target, told.before, told.after = f"model {old}", {"name": old}, {"name": name}
        if old.endswith("*") or name.endswith("*"):
            raise CatalogError("name", _("A pattern has no name of its own: delete it, and add another."))
        if name != old and db.session.scalar(select(Model.id).where(Model.name == name)) is not None:
            raise CatalogError("name", _("Another model has this name."))
        model.name = name
        _keep_routes(model_id, old, name)
        _rename_in_tokens(old, name)
        _rename_in_limits(old, name)


def _keep_routes(model_id: int, old: str, name: str) -> None:
    """Let each upstream be asked by the name it was asked by before."""
    for route in db.session.scalars(select(Route).where(Route.model_id == model_id)):
        theirs = route.upstream_model or old
        route.upstream_model = None if theirs == name else theirs


def _rename_in_tokens(old: str, name: str) -> None:
    for token in db.session.scalars(select(Token).where(Token.models.is_not(None), Token.revoked_at.is_(None))):
        if old in (token.models or ()):
            token.models = [name if each == old else each for each in token.models or ()]


def _rename_in_limits(old: str, name: str) -> None:
    """Move limits on the old name, but for those of subjects that have one on the new name already."""
    taken = {(row.scope, row.subject_id) for row in db.session.scalars(select(Limit).where(Limit.model == name))}
    for limit in db.session.scalars(select(Limit).where(Limit.model == old)):
        if (limit.scope, limit.subject_id) not in taken:
            limit.model = name
