"""Copy-paste set-up for each client, filled with this host and a model that is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template, request

from app.console import blueprint
from app.console.snippets import ANTHROPIC, CLIENTS, OPENAI, PLACEHOLDER, render
from app.services import catalog, tokens
from app.services.context import context
from app.web.people import person

if TYPE_CHECKING:
    from collections.abc import Collection

    from flask.typing import ResponseReturnValue

MODEL_LONGEST = 200
UNKNOWN_MODEL = "MODEL"


@blueprint.get("/connect")
def connect() -> ResponseReturnValue:
    """Show every client's snippet; ``?token=`` chooses whose secret goes into them, ``?model=`` the model."""
    usable = tokens.usable(person().user)
    chosen = next((token for token in usable if token.id == request.args.get("token", type=int)), None)
    allowed = chosen.models if chosen else None
    wanted = request.args.get("model", "").strip()[:MODEL_LONGEST]
    models = {protocol: wanted or suggested_model(protocol, allowed) for protocol in (OPENAI, ANTHROPIC)}
    secret = f"{PLACEHOLDER}{chosen.last4}" if chosen else PLACEHOLDER
    return render_template(
        "console/connect.html",
        clients=[
            (client, [(each, render(each, public_url(), models[each.protocol], token=secret)) for each in client.parts])
            for client in CLIENTS
        ],
        models=[name for name, _kinds in served_models() if _is_allowed(name, allowed)],
        wanted=wanted,
        refused=bool(wanted) and not _is_allowed(wanted, allowed),
        tokens=usable,
        chosen=chosen,
    )


def public_url() -> str:
    """Return the address under which clients reach this server."""
    return context().settings.public_url


def served_models() -> list[tuple[str, set[str]]]:
    """Return what may be asked for: each model's name with the kinds of upstreams that serve it."""
    served = []
    for model in catalog.list_models():
        routes = [route for route in model.routes if route.enabled and route.upstream.enabled]
        if model.enabled and routes:
            served.append((model.name, {route.upstream.kind for route in routes}))
    return served


def suggested_model(protocol: str, allowed: Collection[str] | None = None, *, strict: bool = False) -> str:
    """Return a model to show in a snippet: one that an upstream of the protocol's own kind serves, where there is one.

    With ``strict`` the answer is empty where there is none; else it is any model, or a word to replace.
    """
    names = [(name, kinds) for name, kinds in served_models() if "*" not in name and _is_allowed(name, allowed)]
    own = [name for name, kinds in names if protocol in kinds]
    if own or strict:
        return own[0] if own else ""
    return names[0][0] if names else UNKNOWN_MODEL


def _is_allowed(name: str, allowed: Collection[str] | None) -> bool:
    return allowed is None or name in allowed
