"""What isn't right, what to do about it, and where: the worst first."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import url_for
from flask_babel import gettext as _

from app.services import catalog, codex_connect, doubts
from app.services.context import context
from app.upstreams import UPSTREAMS
from app.web.filters import ago

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

BAD, WARN, HINT = "bad", "warn", ""


@dataclass(frozen=True, slots=True)
class Warn:
    """Something that isn't right; ``kind`` is how bad it is."""

    kind: str
    text: str
    todo: str
    url: str = ""
    label: str = ""


def warnings(upstreams: list[Any], models: list[Any]) -> list[Warn]:
    """Return all that needs somebody's attention."""
    told = [
        *_about_upstreams(upstreams),
        *_about_credentials(upstreams),
        *_about_cool_downs(upstreams),
        *_about_models(models),
        *_about_the_house(),
    ]
    return sorted(told, key=lambda warning: (BAD, WARN, HINT).index(warning.kind))


def _about_upstreams(upstreams: list[Any]) -> Iterator[Warn]:
    here = url_for("admin.upstreams"), _("Upstreams")
    if not upstreams:
        todo = _("Add the provider that Realms forwards to; you need its API key.")
        yield Warn(BAD, _("There is no upstream."), todo, url_for("admin.new_upstream"), _("Add an upstream"))
    elif not any(upstream.enabled for upstream in upstreams):
        yield Warn(BAD, _("All upstreams are disabled."), _("Enable one: no call can be served."), *here)
    for upstream in upstreams:
        if upstream.enabled and not any(credential.enabled for credential in upstream.credentials):
            text = _("The upstream %(name)s has no enabled credential.", name=upstream.name)
            todo = _("Add one or enable one; until then it gets no calls.")
            yield Warn(WARN, text, todo, *_to(upstream))


def _about_credentials(upstreams: list[Any]) -> Iterator[Warn]:
    entries = context().directory.snapshot.upstreams
    for upstream in upstreams:
        entry = entries.get(upstream.id)
        unusable = entry.resting if entry is not None and upstream.enabled else frozenset()
        for credential in upstream.credentials:
            named = {"credential": credential.name or f"…{credential.last4}", "name": upstream.name}
            if credential.enabled and credential.id in unusable:
                text = _(
                    "The credential %(credential)s of %(name)s can't be opened with the present vault keys.", **named
                )
                yield Warn(BAD, text, _("Set REALMS_VAULT_KEYS as it was, or enter the key again."), *_to(upstream))
            elif not credential.enabled and upstream.enabled:
                text = _("The credential %(credential)s of %(name)s is disabled.", **named)
                todo = _("If the provider refused it, replace its key; if nobody needs it, delete it.")
                yield Warn(HINT, text, todo, *_to(upstream))
        yield from _about_accounts(upstream)


def _about_accounts(upstream: Any) -> Iterator[Warn]:
    if not UPSTREAMS[upstream.kind].signs_in:
        return
    for account in codex_connect.accounts(upstream.id):
        if account.state != "connected":
            text = _("The account %(email)s of %(name)s is signed out.", email=account.email, name=upstream.name)
            yield Warn(WARN, text, _("Connect it again: it is left out until then."), *_to(upstream))


def _about_cool_downs(upstreams: list[Any]) -> Iterator[Warn]:
    named = {upstream.id: upstream for upstream in upstreams}
    keys = {key.id: (upstream, key) for upstream in upstreams for key in upstream.credentials}
    for rest in context().explainer.left_out():
        upstream, key = keys.get(rest.credential_id or 0) or (named.get(rest.upstream_id or 0), None)
        if upstream is None:
            continue
        what = upstream.name + (f" ({rest.what})" if rest.what else "")
        if key is not None:
            what = _("%(name)s, credential %(credential)s", name=what, credential=key.name or f"…{key.last4}")
        told = {"what": what, "reason": rest.reason, "when": ago(rest.until)}
        text = _("%(what)s is left out after %(reason)s, to be tried again %(when)s.", **told)
        todo = _(
            "Nothing, if it passes: others serve its calls. "
            "If it comes back, test the upstream and look at its last failures."
        )
        yield Warn(WARN, text, todo, *_to(upstream))


def _about_models(models: list[Any]) -> Iterator[Warn]:
    if not models:
        todo = _("Choose from the upstream's own list what people may ask for.")
        yield Warn(BAD, _("No model is served yet."), todo, url_for("admin.models"), _("Pick models"))
    for model in models:
        if model.enabled and not any(route.enabled and route.upstream.enabled for route in model.routes):
            text = _("No enabled upstream serves the model %(name)s.", name=model.name)
            todo = _("Enable a route or add one; or disable the model.")
            yield Warn(WARN, text, todo, url_for("admin.model", model_id=model.id), _("Its routes"))
    asked = len(catalog.asked_not_served())
    if asked:
        text = _("Models were asked for that aren't served: %(count)d.", count=asked)
        yield Warn(HINT, text, _("Serve them, or tell who asks."), url_for("admin.models"), _("Models"))
    unpriced = doubts.unpriced()
    if unpriced:
        text = _("Models without a price: %(count)d.", count=unpriced)
        todo = _("What they cost is unknown, and limits of money refuse them. Set prices, 0 for what is free.")
        yield Warn(HINT, text, todo, url_for("admin.prices"), _("Prices"))


def _about_the_house() -> Iterator[Warn]:
    url = context().settings.public_url
    if url.startswith("http://") and not _is_loopback(urlsplit(url).hostname or ""):
        text = _("People reach this server without encryption (%(url)s).", url=url)
        todo = _("Passwords and tokens can be read on the way: put it behind https and set REALMS_PUBLIC_URL.")
        yield Warn(BAD, text, todo)
    for wrong, text, todo in _DOUBTS:
        if wrong():
            yield Warn(WARN, text(), todo())


_DOUBTS: tuple[tuple[Callable[[], bool], Callable[[], str], Callable[[], str]], ...] = (
    (
        doubts.schema_behind,
        lambda: _("The database is behind this release."),
        lambda: _("Run: flask db upgrade"),
    ),
    (
        doubts.records_wait,
        lambda: _("Records of calls wait in the journal and are not in the database yet."),
        lambda: _(
            "They are written as soon as the database takes them: "
            "look for journal_failed and database_unavailable in the log."
        ),
    ),
    (
        doubts.redis_away,
        lambda: _("Redis can't be reached: each worker holds callers to its share of their limits."),
        lambda: _("Start it, or mend REALMS_REDIS_URL."),
    ),
    (
        doubts.trusts_everybody,
        lambda: _("Any address may name its client's address: REALMS_TRUSTED_PROXIES holds everybody."),
        lambda: _("Name the addresses of your proxies there; as it is, IP ranges of tokens hold nobody off."),
    ),
)


def _to(upstream: Any) -> tuple[str, str]:
    return url_for("admin.upstream", upstream_id=upstream.id), upstream.name


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
