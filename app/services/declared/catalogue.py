"""Models, their routes and their prices, as a file tells them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from app.protocol.price import Tariff
from app.services import catalog, prices, pricing
from app.services.declared.form import moment, told_moment
from app.services.declared.kinds import Found, Kind, Putting
from app.services.declared.places import upstream_at
from app.services.fields import FieldError

if TYPE_CHECKING:
    from app.models import Model, Price, Route
    from app.services.declared.reading import Path, Row


class Models(Kind):
    """Entries of the catalogue."""

    shape = ("models",)

    def found(self) -> Iterator[Found]:
        for model in catalog.list_models():
            told = {"owned_by": model.owned_by, "enabled": model.enabled}
            yield Found(("models", model.name), told, model.declared)

    def put(self, putting: Putting) -> None:
        row = putting.row
        catalog.put_model(
            putting.path[1], owned_by=row.get("owned_by", ""), enabled=row.get("enabled", True), actor=None
        )

    def drop(self, path: Path) -> None:
        catalog.delete_model(model_at(path).id, actor=None)

    def rows(self, path: Path) -> Iterable[Any]:
        return [model_at(path)]


class Routes(Kind):
    """Which upstreams serve a model."""

    shape = ("models", "routes")

    def found(self) -> Iterator[Found]:
        for model in catalog.list_models():
            for route in model.routes:
                names = ("upstream_model", "priority", "weight", "enabled")
                told = {name: getattr(route, name) for name in names}
                yield Found(("models", model.name, "routes", route.upstream.name), told, route.declared)

    def put(self, putting: Putting) -> None:
        model = model_at(putting.path)
        upstream = upstream_at(("upstreams", putting.path[3]))
        catalog.set_route(model.id, upstream_id=upstream.id, actor=None, **putting.row)

    def drop(self, path: Path) -> None:
        catalog.delete_route(self._route(path).id, actor=None)

    def rows(self, path: Path) -> Iterable[Any]:
        return [self._route(path)]

    def normal(self, path: Path, row: Row) -> Row:
        same = row.get("upstream_model") in {"", path[1]}
        return row | {"upstream_model": None} if same else row

    def _route(self, path: Path) -> Route:
        model = catalog.get_model(model_at(path).id)
        return next(route for route in (model.routes if model else ()) if route.upstream.name == path[3])


class Prices(Kind):
    """What models cost, from a moment on."""

    shape = ("models", "prices")

    def found(self) -> Iterator[Found]:
        for model in catalog.list_models():
            for price in prices.list_for(model.id):
                kept = msgspec.to_builtins(msgspec.convert(price.tariffs, dict[str, Tariff]))
                told = {"standard": kept.pop(pricing.STANDARD), "services": kept, "source": price.source}
                yield Found(("models", model.name, "prices", told_moment(price.valid_from)), told, price.declared)

    def put(self, putting: Putting) -> None:
        row = putting.row
        prices.put(
            model_at(putting.path).id,
            msgspec.convert(putting.needed("standard"), Tariff),
            services=msgspec.convert(row.get("services", {}), dict[str, Tariff]),
            valid_from=moment(putting.path[3]),
            source=row.get("source", prices.MANUAL),
            actor=None,
        )

    def drop(self, path: Path) -> None:
        prices.delete(self._price(path).id, actor=None)

    def rows(self, path: Path) -> Iterable[Any]:
        return [self._price(path)]

    def _price(self, path: Path) -> Price:
        return next(price for price in prices.list_for(model_at(path).id) if price.valid_from == moment(path[3]))


def model_at(path: Path) -> Model:
    """Return the model that a path leads to. Raises ``FieldError`` when it isn't there."""
    model = catalog.find_model(path[1])
    if model is None:
        raise FieldError("", "There is no such model.")
    return model
