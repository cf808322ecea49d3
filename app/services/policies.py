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
from app.services.changes import change
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
    """What a new upstream begins with; ``policy`` as it is stored."""

    kind: str
    base_url: str
    policy: Any


class PolicyError(FieldError):
    """A policy that can't be used."""


def starting(preset: str, *, kind: str, base_url: str, refuse: type[FieldError]) -> Start:
    """Return what a new upstream begins with: what is given, else what its preset says, else the vendor's own."""
    if not preset:
        default = UPSTREAMS[kind].default_base_url if kind in UPSTREAMS else ""
        return Start(kind, base_url or default, None)
    choice(preset, field="preset", known=PRESETS, refuse=refuse)
    start = PRESETS[preset]
    if kind and kind != start.kind:
        raise refuse("preset", _("This preset is of another kind."))
    if not (base_url or start.base_url):
        raise refuse("base_url", _("This preset needs a base URL."))
    return Start(start.kind, base_url or start.base_url, msgspec.to_builtins(policy_of_preset(preset)))


def policy_of(upstream: Upstream) -> Policy:
    """Return an upstream's policy. Raises ``PolicyError`` for one that this release can't read."""
    try:
        return Policy() if upstream.policy is None else msgspec.convert(upstream.policy, Policy)
    except msgspec.ValidationError as error:
        raise PolicyError("policy", str(error)) from None


def as_text(upstream: Upstream) -> str:
    """Return an upstream's policy as people edit it."""
    return msgspec.json.format(msgspec.json.encode(upstream.policy or {}), indent=2).decode()


def save(upstream_id: int, text: str, *, actor: User | None) -> None:
    """Give an upstream another policy. Raises ``PolicyError`` when there is no such upstream, or for a bad policy."""
    policy = read(text)
    with change("upstream.policy", "upstream", actor=actor) as told:
        upstream = db.session.get(Upstream, upstream_id)
        if upstream is None:
            raise PolicyError("", _("There is no such upstream."))
        told.target, told.before = f"upstream {upstream.name}", upstream.policy
        upstream.policy = told.after = msgspec.to_builtins(policy) or None


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
            body=envelope,
            model=model,
            stream=bool(envelope.flag("stream")),
            stores=bool(envelope.flag("store")),
        )
        place = Place(upstream.id, 0, upstream.kind, upstream.base_url, HIDDEN, policy)
        outgoing = UPSTREAMS[upstream.kind].prepare(call, Target(place))
    except RelayError as error:
        raise PolicyError("body", error.message) from None
    head = [
        f"{outgoing.method} {outgoing.url}",
        *(f"{name}: {value}" for name, value in dict(outgoing.headers).items()),
    ]
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
