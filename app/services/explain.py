"""Tells where a call would go, and of everything else why it wouldn't: for people who wonder about their upstreams."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import msgspec

from app.protocol.call import Call, Caller, Place
from app.protocol.conversation import Conversation
from app.protocol.endpoints import BY_NAME, Endpoint
from app.protocol.errors import RelayError
from app.services.board import Board
from app.services.candidates import Candidate, Candidates, Tier
from app.services.choosing import Signs
from app.services.directory import Directory
from app.services.health import Rest, State
from app.services.offer import Offer
from app.services.snapshot import ModelEntry, RouteEntry


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One place that the configuration has for a model.

    ``order`` is when it would be tried, 1 first; those of the same order share calls by weight and load. None: not now,
    for ``reason``, and again in ``returns_s`` seconds where that is known.
    """

    upstream_id: int
    credential_id: int | None = None
    model: str = ""
    priority: int = 0
    weight: int = 1
    under_way: int = 0
    order: int | None = None
    reason: str = ""
    returns_s: int | None = None


class LeftOut(msgspec.Struct, frozen=True):
    """A cool-down: of an upstream (``what`` empty), of a model or an endpoint there, or of a credential."""

    upstream_id: int | None
    credential_id: int | None
    what: str
    reason: str
    until: datetime


class Explainer:
    """Reads what the router reads; moves nothing."""

    def __init__(self, directory: Directory, signs: Signs, board: Board) -> None:
        self._directory = directory
        self._board = board
        self._candidates = Candidates(directory)
        self._signs = signs

    @property
    def sees_workers(self) -> bool:
        """Whether a process that serves no calls itself can know what the workers know."""
        return self._board.shared

    @property
    def away(self) -> bool:
        """Whether the workers can't tell one another anything at the moment."""
        return self._board.away

    def catch_up(self) -> None:
        """Learn what the workers know, in a process that doesn't follow them."""
        self._directory.refresh()
        self._board.catch_up()

    def lines(self, caller: Caller, model: str, *, endpoint: str = "", conversation: str = "") -> list[Line]:
        """Return every place of a model, those first that a call of this caller would be tried at.

        ``conversation`` is a key as records keep it. Raises ``RelayError`` as the call would be refused.
        """
        entry = self._directory.snapshot.model(model)
        row = BY_NAME[endpoint] if endpoint else _usual_endpoint(entry)
        call = Call(id="", request_id="", endpoint=row, caller=caller, model=model)
        try:
            tiers = self._candidates.tiers(call)
        except RelayError:
            if entry is None or not caller.may_use(model):
                raise
            tiers = []
        offer = Offer(call, Conversation(conversation, named=True), tiers, signs=self._signs)
        found = [line for n, tier in enumerate(tiers, 1) for c in tier.members for line in self._of(call, c, n, offer)]
        left = [_left_out(route, row) for route in (entry.routes if entry else ()) if not _in(tiers, route)]
        return sorted(found, key=lambda line: (line.order is None, line.order or 0)) + left

    def left_out(self) -> list[LeftOut]:
        """Return the cool-downs that last still, as this worker knows them."""
        rests, now = self._signs.health.rests, time.time_ns() / 1e9
        return [_cool_down(key, rest) for key, rest in sorted(rests.items()) if rest.until > now]

    def under_way(self, upstream_id: int) -> int:
        """Return how many calls are under way at an upstream, in all workers."""
        return self._signs.load.of(f"u:{upstream_id}")

    def _of(self, call: Call, candidate: Candidate, order: int, offer: Offer) -> list[Line]:
        """Return the places at one upstream that can serve."""
        upstream = candidate.upstream
        lines = [self._line(call, candidate, place, order, offer.bound) for place in upstream.places.values()]
        return lines + [
            Line(upstream_id=upstream.id, credential_id=number, reason="credential_disabled")
            for number in sorted(upstream.resting)
        ]

    def _line(self, call: Call, candidate: Candidate, place: Place, order: int, bound: int | None) -> Line:
        now, health = time.time_ns() / 1e9, self._signs.health
        keys = (*candidate.keys(call), f"c:{place.credential_id}")
        state, reason = health.state(keys, now), health.reason(keys)
        most = candidate.upstream.policy.max_concurrent
        under_way = self._signs.load.of(f"u:{place.upstream_id}")
        if state is State.DUE:
            reason = f"to be tried again after {reason}"
        elif state is State.READY and most is not None and under_way >= most:
            state, reason = State.OUT, "busy"
        elif state is State.READY and place.credential_id == bound:
            order, reason = 0, "conversation"
        return Line(
            upstream_id=place.upstream_id,
            credential_id=place.credential_id,
            model=candidate.model or call.model,
            priority=candidate.priority,
            weight=candidate.weight,
            under_way=under_way,
            order=None if state is State.OUT else order,
            reason=reason,
            returns_s=max(0, round(health.returns_at(keys) - now)) if state is State.OUT and reason != "busy" else None,
        )


def _cool_down(key: str, rest: Rest) -> LeftOut:
    kind, _, about = key.partition(":")
    number, _, what = about.partition(":")
    until = datetime.fromtimestamp(rest.until, UTC)
    if kind == "c":
        return LeftOut(None, int(number), "", rest.reason, until)
    return LeftOut(int(number), None, what, rest.reason, until)


def _usual_endpoint(entry: ModelEntry | None) -> Endpoint:
    """Return the endpoint that a model is mostly asked for at: the first of these that any of its routes has."""
    rows = [BY_NAME[name] for name in ("responses.create", "chat.create", "messages.create")]
    routes = entry.routes if entry else ()
    return next((row for row in rows if any(route.enabled and route.upstream.offers(row) for route in routes)), rows[0])


def _in(tiers: list[Tier], route: RouteEntry) -> bool:
    return any(candidate.upstream is route.upstream for tier in tiers for candidate in tier.members)


def _left_out(route: RouteEntry, endpoint: Endpoint) -> Line:
    upstream = route.upstream
    if not route.enabled:
        reason = "route_disabled"
    elif not upstream.enabled:
        reason = "upstream_disabled"
    elif not upstream.offers(endpoint):
        reason = "endpoint_not_offered"
    else:
        reason = "no_usable_credential"
    return Line(upstream_id=upstream.id, priority=route.priority, weight=route.weight, reason=reason)
