"""One small stream asked of an upstream, as a caller's would be: what its list of models can't show."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select

from app.extensions import db
from app.models import Model, Route
from app.protocol.call import Call, Caller, Target
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.protocol.errors import RelayError
from app.protocol.record import End
from app.protocol.story import STORIES
from app.relay.egress import EgressError
from app.services.context import context
from app.services.probe import Begun, Step, place_of, redacted, steps
from app.services.wording import say as _
from app.upstreams import UPSTREAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.models import Upstream
    from app.protocol.call import Place

STREAM = "stream"
TIMEOUT_S = 30.0
HELLO = [{"role": "user", "content": "Say OK."}]
BODIES: dict[str, dict[str, Any]] = {
    "chat.create": {"messages": HELLO},
    "messages.create": {"messages": HELLO, "max_tokens": 16},
    "responses.create": {"input": HELLO},
}
"""By endpoint, the first that an upstream has is used. No bound where models differ in how they want it said."""


def try_out(upstream: Upstream) -> list[Step]:
    """Return how far a request for the upstream's models comes, and then one stream; the last step may have failed."""
    return [step for step in walk(upstream) if isinstance(step, Step)]


def walk(upstream: Upstream) -> Iterator[Begun | Step]:
    """Yield the same while it happens: each step when it begins and when it is over."""
    place, model = place_of(upstream), _served(upstream)
    if isinstance(place, Step):
        yield place
        return
    for step in steps(place):
        yield step
        if isinstance(step, Step) and not step.ok:
            return
    if model:
        yield Begun(STREAM)
        yield _ask(place, model)


def _served(upstream: Upstream) -> str:
    """Return what the first model that is served there is called there; empty where none is yet."""
    wanted = select(Route.upstream_model, Model.name).join(Model, Model.id == Route.model_id)
    routed = wanted.where(Route.upstream_id == upstream.id, Route.enabled, Model.enabled).order_by(Model.name)
    names = [theirs or name for theirs, name in db.session.execute(routed) if theirs or not name.endswith("*")]
    return names[0] if names else ""


def _ask(place: Place, model: str) -> Step:
    began = monotonic()
    adapter = UPSTREAMS[place.kind]
    offered = [name for name in BODIES if adapter.serves(BY_NAME[name]) and place.policy.offers(name)]
    if not offered:
        return Step(STREAM, ok=False, detail=_("Its policy offers nothing that streams."))
    call = _call(offered[0], model)
    try:
        outgoing = adapter.prepare(call, Target(place, model))
        headers, body = dict(outgoing.headers), outgoing.body
        fetched = context().egress.fetch(
            "POST", outgoing.url, headers=headers, body=body, timeout_s=TIMEOUT_S, proxy=place.proxy
        )
    except (RelayError, EgressError) as error:
        return Step(STREAM, ok=False, detail=redacted(str(error), place.secret), ms=_since(began))
    story = STORIES[call.endpoint.shape](call)
    if fetched.status < 300:
        story.take(fetched.body)
    if story.end is not End.COMPLETED:
        said = redacted(fetched.body.decode("utf-8", "replace"), place.secret)
        detail = _(
            "%(model)s did not answer as a stream (%(status)d): %(said)s", model=model, status=fetched.status, said=said
        )
        return Step(STREAM, ok=False, detail=detail, ms=_since(began))
    return Step(STREAM, ok=True, detail=_("%(model)s answered", model=model), ms=_since(began))


def _call(endpoint: str, model: str) -> Call:
    body = {"model": model, "stream": True, **BODIES[endpoint]}
    return Call(
        id="0" * 32,
        request_id="trial",
        endpoint=BY_NAME[endpoint],
        caller=Caller(0, 0, ""),
        headers=(("content-type", "application/json"),),
        body=parse(msgspec.json.encode(body)),
        model=model,
        stream=True,
    )


def _since(began: float) -> int:
    return round((monotonic() - began) * 1000)
