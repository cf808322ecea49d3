"""``flask models``: the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.cli.terminal import Commands, answer, json_option, table
from app.cli.upstreams import find_upstream
from app.services import catalog, renaming
from app.services import upstreams as upstream_service

if TYPE_CHECKING:
    from app.models import Model, Route

models = Commands("models", help="The models that callers may ask for.")


@models.command("import")
@click.argument("upstream")
@click.option("--all", "everything", is_flag=True, help="Every model that the upstream lists itself.")
@click.option("--model", "named", multiple=True, metavar="ID[=UPSTREAM_MODEL]", help="One model; may be repeated.")
@json_option
def import_models(upstream: str, *, everything: bool, named: tuple[str, ...], as_json: bool) -> None:
    """Let callers ask for models of an upstream."""
    if everything == bool(named):
        raise click.UsageError("Give --all, or --model once or more.")
    upstream_id = find_upstream(upstream).id
    wanted = dict.fromkeys(upstream_service.remote_models(upstream_id)) if everything else _parsed(named)
    count = catalog.import_models(upstream_id, wanted, actor=None)
    value = {"upstream": upstream, "models": sorted(wanted), "changed": count}
    answer(value, as_json=as_json, text=f"{len(wanted)} models of {upstream}, {count} of them new or changed.")


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the catalogue."""
    rows = [_row(model, as_json=as_json) for model in catalog.list_models()]
    table(rows, as_json=as_json, empty="No models yet. Import some: flask models import UPSTREAM --all")


@models.command("rename")
@click.argument("name")
@click.argument("new_name")
@json_option
def rename_model(name: str, new_name: str, as_json: bool) -> None:
    """Give a model another public name; tokens, limits and upstreams' names go along."""
    model = catalog.find_model(name)
    if model is None:
        raise click.ClickException(f"There is no model {name}.")
    renaming.rename_model(model.id, new_name, actor=None)
    answer({"model": new_name, "was": name}, as_json=as_json, text=f"{name} is called {new_name} now.")


def _parsed(named: tuple[str, ...]) -> dict[str, str | None]:
    wanted: dict[str, str | None] = {}
    for text in named:
        public, equals, theirs = text.partition("=")
        if not public.strip() or (equals and not theirs.strip()):
            raise click.UsageError(f"--model {text}: write ID or ID=UPSTREAM_MODEL.")
        wanted[public] = theirs or None
    return wanted


def _row(model: Model, *, as_json: bool) -> dict[str, Any]:
    routes = [_route(route, model) for route in model.routes]
    told = routes if as_json else [_sentence(route) for route in routes]
    return {"id": model.id, "name": model.name, "enabled": model.enabled, "routes": told}


def _route(route: Route, model: Model) -> dict[str, Any]:
    return {
        "id": route.id,
        "upstream": route.upstream.name,
        "upstream_model": route.upstream_model or model.name,
        "enabled": route.enabled and route.upstream.enabled,
        "priority": route.upstream.priority if route.priority is None else route.priority,
        "weight": route.upstream.weight if route.weight is None else route.weight,
    }


def _sentence(route: dict[str, Any]) -> str:
    return f"{route['upstream']}: {route['upstream_model']}" + ("" if route["enabled"] else " (disabled)")
