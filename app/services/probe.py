"""Asks an upstream for its models, and tells step by step how far the question came."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

from app.protocol.call import Place
from app.relay.egress import EgressError
from app.services.context import context
from app.services.proxies import NoWayError, way_to
from app.services.vault import VaultError
from app.services.wording import say as _
from app.upstreams import UPSTREAMS

if TYPE_CHECKING:
    from app.models import Upstream
    from app.relay.egress import Fetched

ADDRESS, CONNECTION, AUTHENTICATION = NAMES = ("address", "connection", "authentication")
"""The steps, in order: name and address allowed and resolved; connected, TLS included; key taken, models listed."""
_STEP_OF = {"address": ADDRESS, "dns": ADDRESS, "connect": CONNECTION, "refused": CONNECTION, "tls": CONNECTION}
_STEP_OF |= dict.fromkeys(("proxy_unreachable", "proxy_login", "proxy_failed", "proxy_timeout"), CONNECTION)
EXCERPT_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Step:
    """How one step went; ``ms`` is the time from the start to its end, where it was measured."""

    name: str
    ok: bool
    detail: str
    ms: int | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """The steps taken, the last of which may have failed, and the models that the upstream listed."""

    steps: list[Step] = field(default_factory=list)
    models: list[str] = field(default_factory=list)

    @property
    def failure(self) -> Step | None:
        """The step that failed, if one did."""
        return next((step for step in self.steps if not step.ok), None)


def probe_upstream(upstream: Upstream) -> Probe:
    """Return what comes of asking an upstream for its models with its first enabled credential."""
    place = place_of(upstream)
    return Probe([place]) if isinstance(place, Step) else probe(place)


def place_of(upstream: Upstream) -> Place | Step:
    """Return an upstream with its first enabled credential, or the step that this fails at."""
    credential = next((each for each in upstream.credentials if each.enabled), None)
    if credential is None:
        return Step(AUTHENTICATION, ok=False, detail=_("This upstream has no enabled credential."))
    try:
        policy, proxy = way_to(upstream, context().vault)
    except NoWayError as error:
        return Step(ADDRESS, ok=False, detail=str(error))
    try:
        key = context().vault.open(credential.sealed, origin=upstream.base_url)
    except VaultError as error:
        return Step(AUTHENTICATION, ok=False, detail=str(error))
    return Place(upstream.id, credential.id, upstream.kind, upstream.base_url, key, policy, proxy)


def probe(place: Place) -> Probe:
    """Return what comes of asking the upstream for its models: one small request, through the guard of every call."""
    kind, key = place.kind, place.secret
    url, headers = UPSTREAMS[kind].list_request(place)
    began = monotonic()
    try:
        fetched = context().egress.fetch("GET", url, headers=headers, proxy=place.proxy)
    except EgressError as error:
        return Probe(_until(_STEP_OF.get(error.phase, AUTHENTICATION), redacted(str(error), key), began))
    problem = _problem(fetched, key)
    if problem:
        return Probe(_until(AUTHENTICATION, problem, began))
    try:
        models = UPSTREAMS[kind].listed(fetched.body)
    except (ValueError, RecursionError):
        problem = _("The answer isn't a list of models. Check the base URL.")
        return Probe(_until(AUTHENTICATION, problem, began))
    listed = Step(AUTHENTICATION, ok=True, detail=_("%(count)d models listed", count=len(models)), ms=_since(began))
    return Probe([*_passed(AUTHENTICATION), listed], models)


def _problem(fetched: Fetched, key: str) -> str:
    status = fetched.status
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return _("The upstream answers with a redirect (%(status)d), which is never followed.", status=status)
    if status in {401, 403}:
        return _("The upstream refuses this key (%(status)d).", status=status)
    if status == 404:
        return _("There is no list of models at this address (404). Check the base URL.")
    excerpt = redacted(fetched.body.decode("utf-8", "replace"), key)
    return _("The upstream answered %(status)d: %(excerpt)s", status=status, excerpt=excerpt)


def redacted(text: str, key: str) -> str:
    """Return what an upstream said, cut short and without the key."""
    for part in key.split():  # an account's secret has two
        text = text.replace(part, "…")
    return "".join(c if c.isprintable() else " " for c in text[:EXCERPT_LONGEST]).strip()


def _until(name: str, problem: str, began: float) -> list[Step]:
    return [*_passed(name), Step(name, ok=False, detail=problem, ms=_since(began))]


def _passed(name: str) -> list[Step]:
    return [Step(before, ok=True, detail="") for before in NAMES[: NAMES.index(name)]]


def _since(began: float) -> int:
    return round((monotonic() - began) * 1000)
