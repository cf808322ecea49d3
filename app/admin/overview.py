"""The first page of administration: what needs doing, and how much there is of everything."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import render_template, url_for
from flask_babel import gettext as _

from app.admin import blueprint
from app.services import accounts, catalog
from app.services import upstreams as service
from app.services.context import context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask.typing import ResponseReturnValue


@dataclass(frozen=True, slots=True)
class Warn:
    """Something that isn't right, what to do, and where."""

    text: str
    url: str = ""
    label: str = ""


@blueprint.get("")
def overview() -> ResponseReturnValue:
    """Show warnings and counts."""
    return render_template(
        "admin/overview.html",
        warnings=[*_about_upstreams(), *_about_models(), *_about_address(context().settings.public_url)],
        upstreams=service.list_all(),
        models=catalog.list_models(),
        users=accounts.list_users(),
        settings=context().settings,
    )


def _about_upstreams() -> Iterator[Warn]:
    upstreams = service.list_all()
    if not upstreams:
        yield Warn(_("There is no upstream."), url_for("admin.new_upstream"), _("Add an upstream"))
    elif not any(upstream.enabled for upstream in upstreams):
        yield Warn(_("All upstreams are disabled."), url_for("admin.upstreams"), _("Upstreams"))
    for upstream in upstreams:
        if upstream.enabled and not any(credential.enabled for credential in upstream.credentials):
            yield Warn(
                _("The upstream %(name)s has no enabled credential.", name=upstream.name),
                url_for("admin.upstream", upstream_id=upstream.id),
                _("Add one"),
            )


def _about_models() -> Iterator[Warn]:
    models = catalog.list_models()
    if not models:
        yield Warn(_("No model is served yet."), url_for("admin.models"), _("Pick models"))
    for model in models:
        if model.enabled and not any(route.enabled and route.upstream.enabled for route in model.routes):
            yield Warn(
                _("No enabled upstream serves the model %(name)s.", name=model.name),
                url_for("admin.model", model_id=model.id),
                _("Its routes"),
            )
    asked = len(catalog.asked_not_served())
    if asked:
        yield Warn(
            _("Models were asked for that aren't served: %(count)d.", count=asked), url_for("admin.models"), _("Models")
        )


def _about_address(public_url: str) -> Iterator[Warn]:
    if public_url.startswith("http://") and not _is_loopback(urlsplit(public_url).hostname or ""):
        yield Warn(
            _(
                "People reach this server without encryption (%(url)s): passwords and tokens can be read on the way. "
                "Put it behind https and set REALMS_PUBLIC_URL.",
                url=public_url,
            )
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
