"""Which routes of the configuration can serve a call at all, in tiers of equal priority, and the choice in a tier."""

from __future__ import annotations

import secrets
from bisect import bisect
from collections.abc import Callable, Iterable
from itertools import accumulate

import msgspec

from app.protocol.call import Call, Place
from app.protocol.endpoints import ENDPOINTS, Endpoint
from app.protocol.errors import Problem, RelayError
from app.services.directory import Directory
from app.services.snapshot import ModelEntry, RouteEntry, UpstreamEntry
from app.upstreams import UPSTREAMS

_random = secrets.SystemRandom().random


class Candidate(msgspec.Struct, frozen=True):
    """An upstream that can serve, under its own name for the model (empty: the name asked for)."""

    upstream: UpstreamEntry
    model: str
    priority: int = 0
    weight: int = 1
    ready_keys: tuple[str, ...] = ()

    def keys(self, call: Call) -> tuple[str, ...]:
        """Return what has to be well for this candidate, apart from its credentials; as ``health`` names it."""
        return self.ready_keys or _keys(self.upstream, self.model or call.model, call.endpoint)


class Tier:
    """Candidates of the same priority, of which each gets its weight's share."""

    __slots__ = ("_cumulative", "_names", "bounded", "members", "only", "places")

    def __init__(self, members: Iterable[Candidate]) -> None:
        self.members = tuple(members)
        self.places = sum(len(candidate.upstream.places) for candidate in self.members)
        """How many there are to choose from."""
        self.bounded = [each for each in self.members if each.upstream.policy.max_concurrent is not None]
        """Those that take only so many calls at a time."""
        self.only = _only(self.members)
        """The one place, where it is the only one and takes as many calls as come."""
        self._names: frozenset[str] | None = None
        self._cumulative = list(accumulate(candidate.weight for candidate in self.members))

    def choose(self, load: Callable[[Candidate], float], *, is_open: Callable[[Candidate], bool]) -> Candidate | None:
        """Return the less loaded of two that are drawn by weight, so that a burst spreads; None where all are out."""
        if len(self.members) == 1:
            return self.members[0] if is_open(self.members[0]) else None
        drawn = [candidate for candidate in (self._draw(), self._draw()) if is_open(candidate)]
        if not drawn:
            still_open = [candidate for candidate in self.members if is_open(candidate)]
            return Tier(still_open).choose(load, is_open=_always) if still_open else None
        return min(drawn, key=lambda candidate: load(candidate) / candidate.weight)

    @property
    def names(self) -> frozenset[str]:
        """Everything that has to be well for anybody here, as far as it is known without a call."""
        if self._names is None:
            self._names = frozenset(name for candidate in self.members for name in _names(candidate))
        return self._names

    def _draw(self) -> Candidate:
        return self.members[bisect(self._cumulative, _random() * self._cumulative[-1])]


class Candidates:
    """Reads the present snapshot; remembers the tiers that it made of it."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._made_of: object = None
        self._tiers: dict[tuple[str, str, bool], list[Tier]] = {}

    def tiers(self, call: Call) -> list[Tier]:
        """Return the tiers of a call, the highest first. Raises ``RelayError`` when nothing serves it."""
        if not call.endpoint.needs_model:
            return self._any_upstream(call.endpoint)
        entry = self._entry(call)
        if self._made_of is not self._directory.snapshot:
            self._made_of, self._tiers = self._directory.snapshot, {}
        name = (entry.name, call.endpoint.name, call.stores)
        tiers = self._tiers.get(name)
        if tiers is None:
            wanted = (route for route in entry.routes if serves(route, call.endpoint))
            candidates = (_candidate(route, entry, call.endpoint) for route in wanted)
            tiers = self._tiers[name] = _in_tiers(candidates, keeping=call.stores)
        if not tiers:
            raise RelayError(Problem.MODEL_NOT_FOUND, _elsewhere(entry, call), param="model")
        return tiers

    def name_at(self, call: Call, upstream_id: int) -> str:
        """Return a model's own name at one upstream. Raises ``RelayError`` when the model isn't served there."""
        if not call.endpoint.needs_model or not call.model:
            return ""
        for tier in self.tiers(call):
            for candidate in tier.members:
                if candidate.upstream.id == upstream_id:
                    return candidate.model
        message = f"The model '{call.model}' can't continue an object that another provider keeps."
        raise RelayError(Problem.MODEL_NOT_FOUND, message, param="model")

    def _entry(self, call: Call) -> ModelEntry:
        entry = self._directory.snapshot.model(call.model)
        if entry is None or not call.caller.may_use(call.model):
            raise RelayError(Problem.MODEL_NOT_FOUND, _unknown_model(call.model), param="model")
        return entry

    def _any_upstream(self, endpoint: Endpoint) -> list[Tier]:
        """Return every upstream that has an endpoint which names no model."""
        able = [
            Candidate(entry, "", entry.priority, entry.weight)
            for entry in self._directory.snapshot.upstreams.values()
            if entry.enabled and entry.places and entry.offers(endpoint)
        ]
        if not able:
            raise RelayError(Problem.UNSUPPORTED, "No upstream offers this endpoint.")
        return _in_tiers(able)


def serves(route: RouteEntry, endpoint: Endpoint) -> bool:
    """Whether a route can serve an endpoint as things are configured."""
    upstream: UpstreamEntry = route.upstream
    return route.enabled and upstream.enabled and bool(upstream.places) and upstream.offers(endpoint)


def _candidate(route: RouteEntry, entry: ModelEntry, endpoint: Endpoint) -> Candidate:
    """Return a route as a candidate; what a pattern's is called there only the call can tell."""
    model = route.upstream_model or ("" if entry.name.endswith("*") else entry.name)
    keys = _keys(route.upstream, model, endpoint) if model else ()
    return Candidate(route.upstream, route.upstream_model, route.priority, route.weight, keys)


def _keys(upstream: UpstreamEntry, model: str, endpoint: Endpoint) -> tuple[str, ...]:
    return f"u:{upstream.id}", f"r:{upstream.id}:{model}", f"e:{upstream.id}:{endpoint.name}"


def _names(candidate: Candidate) -> Iterable[str]:
    yield f"u:{candidate.upstream.id}"
    yield from candidate.ready_keys
    yield from (f"c:{number}" for number in candidate.upstream.places)


def _only(members: tuple[Candidate, ...]) -> tuple[Candidate, Place] | None:
    places = [(candidate, place) for candidate in members for place in candidate.upstream.places.values()]
    return places[0] if len(places) == 1 and members[0].upstream.policy.max_concurrent is None else None


def _always(_: Candidate) -> bool:
    return True


def _in_tiers(candidates: Iterable[Candidate], *, keeping: bool = False) -> list[Tier]:
    """Return the tiers, the best first; ``keeping`` puts those that keep objects before all others."""
    tiers: dict[tuple[bool, int], list[Candidate]] = {}
    for candidate in candidates:
        keeps = keeping and candidate.upstream.policy.store and UPSTREAMS[candidate.upstream.kind].keeps_objects
        tiers.setdefault((keeps, candidate.priority), []).append(candidate)
    return [Tier(tiers[rank]) for rank in sorted(tiers, reverse=True)]


def _unknown_model(model: str) -> str:
    return f"The model '{model}' does not exist or you do not have access to it."


def _elsewhere(entry: ModelEntry, call: Call) -> str:
    """Name the endpoints on which this model can be had, where there are any."""
    paths = [e.path for e in ENDPOINTS if e.needs_model and any(serves(route, e) for route in entry.routes)]
    if not paths:
        return _unknown_model(call.model)
    return f"The model '{call.model}' is not available on {call.endpoint.path}; it is on {', '.join(paths)}."
