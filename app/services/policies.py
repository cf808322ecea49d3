"""What operators want otherwise at an upstream: read, checked, saved, and tried without calling anybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from app.extensions import db
from app.models import Upstream
from app.protocol import policy as policies
from app.protocol.call import Call, Caller, Place, Target
from app.protocol.endpoints import BY_NAME, Endpoint
from app.protocol.envelope import parse
from app.protocol.errors import RelayError
from app.protocol.policy import Policy
from app.protocol.proxy import is_login
from app.services.changes import change
from app.services.context import context
from app.services.fields import FieldError, choice
from app.services.wording import say as _
from app.upstreams import UPSTREAMS
from app.upstreams.presets import PRESETS
from app.upstreams.presets import policy_of as policy_of_preset

if TYPE_CHECKING:
    from app.models import User

HIDDEN = "…"
SAMPLE = """{"model": "MODEL", "input": "Hello"}"""


@dataclass(frozen=True, slots=True)
class Start:
    """What a new upstream begins with."""

    kind: str
    base_url: str
    policy: Policy


class PolicyError(FieldError):
    """A policy that can't be used."""


def starting(preset: str, *, kind: str, base_url: str, refuse: type[FieldError]) -> Start:
    """Return what a new upstream begins with: what is given, else what its preset says, else the vendor's own."""
    if not preset:
        default = UPSTREAMS[kind].default_base_url if kind in UPSTREAMS else ""
        return Start(kind, base_url or default, Policy())
    choice(preset, field="preset", known=PRESETS, refuse=refuse)
    start = PRESETS[preset]
    if kind and kind != start.kind:
        raise refuse("preset", _("This preset is of another kind."))
    if not (base_url or start.base_url):
        raise refuse("base_url", _("This preset needs a base URL."))
    return Start(start.kind, base_url or start.base_url, policy_of_preset(preset))


def policy_of(upstream: Upstream) -> Policy:
    """Return an upstream's policy. Raises ``PolicyError`` for one that this release can't read."""
    try:
        return Policy() if upstream.policy is None else msgspec.convert(upstream.policy, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError("policy", str(error)) from None


def as_text(upstream: Upstream) -> str:
    """Return an upstream's policy as people edit it."""
    return msgspec.json.format(msgspec.json.encode(upstream.policy or {}), indent=2).decode()


def save(upstream_id: int, text: str, *, actor: User | None, proxy_login: str | None = None) -> None:
    """Give an upstream another policy; ``proxy_login`` as for ``keep``.

    Raises ``PolicyError`` when there is no such upstream, or for what can't be used.
    """
    policy = read(text)
    with change("upstream.policy", "upstream", actor=actor) as told:
        upstream = db.session.get(Upstream, upstream_id)
        if upstream is None:
            raise PolicyError("", _("There is no such upstream."))
        told.target, told.before = f"upstream {upstream.name}", _shown(upstream)
        keep(upstream, policy, proxy_login=proxy_login)
        told.after = _shown(upstream)


def set_proxy(upstream_id: int, address: str, *, actor: User | None, proxy_login: str | None = None) -> None:
    """Let all calls of an upstream lead through a proxy, or with an empty address through none. Raises as ``save``."""
    upstream = db.session.get(Upstream, upstream_id)
    policy = Policy() if upstream is None else with_proxy(policy_of(upstream), address)
    save(upstream_id, msgspec.json.encode(policy).decode(), actor=actor, proxy_login=proxy_login)


def with_proxy(policy: Policy, address: str) -> Policy:
    """Return a policy with another proxy, or none. Raises ``PolicyError`` for what is no proxy."""
    try:
        changed = msgspec.structs.replace(policy, proxy=address.strip())
        policies.proxy_of(changed)
    except ValueError as error:
        raise PolicyError("proxy", str(error)) from None
    return changed


def keep(upstream: Upstream, policy: Policy, *, proxy_login: str | None = None) -> None:
    """Write a policy into an upstream's row, and who Realms is to its proxy: ``user:password``, or nobody if empty.

    With None what is kept stays, as long as the proxy is the same: another one is never told it. Raises
    ``PolicyError`` for a login that no proxy can take.
    """
    before = (upstream.policy or {}).get("proxy", "")
    upstream.policy = msgspec.to_builtins(policy) or None
    if proxy_login:
        if not policy.proxy:
            raise PolicyError("proxy_login", _("The policy names no proxy that this could be for."))
        if not is_login(proxy_login):
            raise PolicyError("proxy_login", _("Write user:password, each of 255 ASCII characters at most."))
        upstream.proxy_login, upstream.proxy_reference = context().vault.seal(proxy_login, origin=policy.proxy), ""
    elif proxy_login is not None or policy.proxy != before:
        upstream.proxy_login, upstream.proxy_reference = None, ""


def _shown(upstream: Upstream) -> dict[str, Any]:
    return (upstream.policy or {}) | ({"proxy_login": HIDDEN} if upstream.proxy_login else {})


def read(text: str) -> Policy:
    """Return the policy that a text says. Raises ``PolicyError`` with what is wrong with it."""
    try:
        return policies.read(text.strip())
    except ValueError as error:
        raise PolicyError("policy", str(error)) from None


def dry_run(upstream: Upstream, text: str, *, endpoint: str, body: str) -> str:
    """Return the request that a call would become under a policy, as it would go out but for the secret.

    Raises ``PolicyError`` for a bad policy, endpoint or body.
    """
    policy = read(text)
    row = choice_of_endpoint(upstream.kind, endpoint)
    try:
        envelope = parse(body.encode())
        model = envelope.text("model") or ""
        call = Call(
            id="0" * 32,
            request_id="dry-run",
            endpoint=row,
            caller=Caller(0, 0, HIDDEN),
            headers=(("content-type", "application/json"),),
            offered=tuple((name.lower(), HIDDEN) for name in policy.allow_headers),
            body=envelope,
            model=model,
            stream=bool(envelope.flag("stream")),
            stores=bool(envelope.flag("store")),
        )
        proxy = policies.proxy_of(policy)
        place = Place(upstream.id, 0, upstream.kind, upstream.base_url, HIDDEN, policy, proxy)
        outgoing = UPSTREAMS[upstream.kind].prepare(call, Target(place))
    except RelayError as error:
        raise PolicyError("body", error.message) from None
    head = [
        f"{outgoing.method} {outgoing.url}",
        *(f"{name}: {value}" for name, value in dict(outgoing.headers).items()),
    ]
    if times := [f"{name} {value:g} s" for name in policies.TIMES if (value := getattr(policy, name))]:
        head.insert(0, _("Given up there after: %(times)s.", times=", ".join(times)))
    if proxy is not None:
        head.insert(0, _("Through the proxy %(proxy)s, or not at all.", proxy=str(proxy)))
    told = msgspec.json.format(outgoing.body or b"{}", indent=2).decode()
    if not policy.offers(row.name):
        head.insert(0, _("This endpoint isn't offered: calls for it go elsewhere."))
    return "\n".join([*head, "", told])


def choice_of_endpoint(kind: str, name: str) -> Endpoint:
    """Return the endpoint of this name that a kind serves. Raises ``PolicyError``."""
    row = BY_NAME.get(name)
    if row is None or not UPSTREAMS[kind].serves(row) or not row.takes_body or not row.needs_model:
        raise PolicyError("endpoint", _("This upstream has no such endpoint."))
    return row
