"""Asks an upstream for its models, and tells step by step how far the question comes."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from app.protocol.call import Place
from app.relay.egress import EgressError
from app.relay.transport import locate
from app.services.context import context
from app.services.proxies import NoWayError, way_to
from app.services.vault import VaultError
from app.services.wording import say as _
from app.upstreams import UPSTREAMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from app.models import Upstream
    from app.relay.egress import Fetched
    from app.relay.transport import Origin

ADDRESS, CONNECTION, TLS, AUTHENTICATION = "address", "connection", "tls", "authentication"
"""The steps, in order: address found and allowed; connected; trusted; key taken, and models listed."""
EXCERPT_LONGEST = 200


class ProbeError(Exception):
    """An upstream that doesn't list its models, and why."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A step that is being taken."""

    name: str


@dataclass(frozen=True, slots=True)
class Step:
    """How one step went; ``ms`` is how long it took, where it was taken at all."""

    name: str
    ok: bool
    detail: str
    ms: int | None = None


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


def steps(place: Place) -> Iterator[Begun | Step]:
    """Yield each step of reaching an upstream when it begins and when it is over; the last one may have failed.

    Everything goes through the guard of every call.
    """
    egress, url = context().egress, UPSTREAMS[place.kind].list_request(place)[0]
    origin = locate(url)[0]._replace(proxy=place.proxy)
    acts: tuple[tuple[str, Callable[[], str]], ...] = (
        (ADDRESS, lambda: ", ".join(map(str, egress.look_up(origin)))),
        (CONNECTION, lambda: _connected(origin._replace(scheme="http"))),
        (TLS, lambda: _connected(origin) if origin.scheme == "https" else _("not encrypted: the address is http")),
        (AUTHENTICATION, lambda: _("%(count)d models listed", count=len(listed(place)))),
    )
    for name, act in acts:
        yield Begun(name)
        step = _taken(name, act, place.secret)
        yield step
        if not step.ok:
            return


def reach(upstream: Upstream) -> Step:
    """Return the last step of reaching an upstream: that its models are listed, or what failed."""
    place = place_of(upstream)
    return place if isinstance(place, Step) else [step for step in steps(place) if isinstance(step, Step)][-1]


def listed(place: Place) -> list[str]:
    """Return the models that an upstream lists itself. Raises ``ProbeError``."""
    adapter, key = UPSTREAMS[place.kind], place.secret
    url, headers = adapter.list_request(place)
    try:
        fetched = context().egress.fetch("GET", url, headers=headers, proxy=place.proxy)
    except EgressError as error:
        raise ProbeError(redacted(str(error), key)) from error
    if problem := _problem(fetched, key):
        raise ProbeError(problem)
    try:
        return adapter.listed(fetched.body)
    except (ValueError, RecursionError):
        raise ProbeError(_("The answer isn't a list of models. Check the base URL.")) from None


def _connected(origin: Origin) -> str:
    context().egress.dial(origin).close()
    return ""


def _taken(name: str, act: Callable[[], str], key: str) -> Step:
    began = monotonic()
    try:
        ok, detail = True, act()
    except (EgressError, ProbeError) as error:
        ok, detail = False, redacted(str(error), key)
    return Step(name, ok=ok, detail=detail, ms=round((monotonic() - began) * 1000))


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
