"""What one may ask for, whether a token is good, and the reference of the API."""

from __future__ import annotations

import hashlib
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from flask import render_template, request
from flask_babel import gettext as _

from app.console import blueprint
from app.console.connect import public_url, served_models
from app.console.forms import CheckForm
from app.protocol.price import at
from app.services.context import context

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from app.protocol.price import Rates

REFERENCE = Path(__file__).parents[2] / "docs" / "openapi.yaml"
PATHS = {"anthropic": ("/v1/messages",), "openai": ("/v1/responses", "/v1/chat/completions")}
METHODS = ("get", "post", "delete")


@blueprint.get("/catalogue")
def models() -> ResponseReturnValue:
    """List what may be asked for, at which endpoints, and at what price."""
    served = [
        (name, [path for kind in sorted(kinds) for path in PATHS.get(kind, ("/v1/responses",))], _rates(name))
        for name, kinds in served_models()
    ]
    return render_template("console/models.html", models=served)


@blueprint.route("/check", methods=["GET", "POST"])
def check() -> ResponseReturnValue:
    """Tell the holder of a token what it is good for. The token is in the form's body alone, and kept nowhere."""
    form, told = CheckForm(), None
    if form.validate_on_submit():
        told = _told(form.token.data)
        if told is None:
            form.token.errors = [_("This token is unknown, revoked or expired.")]
    return render_template("console/check.html", form=form, told=told, url=public_url())


@blueprint.get("/docs")
def docs() -> ResponseReturnValue:
    """Show the reference of the API."""
    return render_template("console/docs.html", operations=_operations(), url=public_url())


def _rates(name: str) -> Rates | None:
    """Return what a model costs now, below any threshold; None where it has no price."""
    snapshot = context().directory.snapshot
    entry = snapshot.models.get(name) or dict(snapshot.patterns).get(name.removesuffix("*"))
    price = at(entry.prices, time.time_ns() / 1e9) if entry is not None else None
    return price.standard.rates if price is not None else None


def _told(token: str) -> dict[str, Any] | None:
    caller = context().directory.caller(hashlib.sha256(token.encode("utf-8", "replace")).hexdigest())
    if caller is None or (caller.expires_at is not None and caller.expires_at <= time.time_ns() / 1e9):
        return None
    address = request.remote_addr or ""
    return {
        "models": [name for name, _kinds in served_models() if caller.may_use(name)],
        "address": address,
        "here": caller.may_come_from(address),
        "networks": [str(network) for network in caller.networks],
    }


@cache
def _operations() -> list[dict[str, Any]]:
    """Return the reference's operations in its order; read once, as it never changes while Realms runs."""
    paths = yaml.safe_load(REFERENCE.read_text(encoding="utf-8"))["paths"]
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": said.get("summary", ""),
            # Paragraphs, each in parts: every other one stood between backticks.
            "text": [paragraph.split("`") for paragraph in said.get("description", "").split("\n\n")],
            "answers": [str(status) for status in said["responses"]],
        }
        for path, methods in paths.items()
        for method, said in methods.items()
        if method in METHODS
    ]
