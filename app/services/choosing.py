"""The choice of a place for one call: its conversation's own credential first, then tier by tier who is least busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from app.protocol.call import Call, Place
from app.protocol.endpoints import Kind
from app.relay.ports import Accounts
from app.services.affinity import Affinity
from app.services.candidates import Candidate, Tier
from app.services.health import Health, State
from app.services.line import Line
from app.services.load import Load


class Choice(msgspec.Struct, frozen=True):
    """One place that was given out; ``trial`` holds the cool-downs that the call tries to end."""

    candidate: Candidate
    place: Place
    trial: Sequence[str] = ()


class Signs(msgspec.Struct, frozen=True):
    """What an offer goes by, beyond the configuration."""

    health: Health
    load: Load
    affinity: Affinity
    accounts: Mapping[str, Accounts]
    dismiss: Callable[[Place], None]
    """Takes a credential out for good that was refused, and refused again when it was tried out."""
    line: Line[Choice]
    queue_wait_s: float = 0.0

    def give_back(self, choice: Choice) -> None:
        """Free a place that nobody came for."""
        self.load.end(choice.place)
        self.health.abandon(choice.trial)


class Choosing:
    """What can be chosen for one call, of what it has not tried yet.

    ``bound`` is the credential that its conversation is with, None where that isn't known; with ``only_own`` nothing
    else is chosen. A call that ``waits`` stands in the line; one that doesn't takes nothing that somebody there wants.
    """

    def __init__(self, call: Call, tiers: list[Tier], *, signs: Signs, bound: int | None) -> None:
        self._call = call
        self._tiers = tiers
        self._signs = signs
        self.bound = bound
        self.only_own = False
        self.waits = False
        self.moves_health = call.endpoint.kind is Kind.CREATE and call.endpoint.needs_model
        self._tried: tuple[int, ...] = ()
        self._failed_upstreams: tuple[int, ...] = ()

    def take(self) -> Choice | None:
        """Take the best place there is; None where there is none at the moment."""
        choice = self._only_choice()
        if choice is None:
            now = now_s()
            choice = self._bound_choice(now)
            if choice is None and not self.only_own:
                choice = self._first(now, again=False) or self._first(now, again=True)
        if choice is not None:
            self._signs.load.begin(choice.place)
        return choice

    def tries(self, choice: Choice) -> None:
        """Take note that the call goes there: it does so once."""
        self._tried += (choice.place.credential_id,)

    def failed_at(self, upstream_id: int) -> None:
        """Take note that an upstream failed the call: its other credentials come last."""
        self._failed_upstreams += (upstream_id,)

    def places(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield each credential that could serve, and what has to be well for it."""
        for tier in self._tiers:
            for candidate in tier.members:
                for n in candidate.upstream.places:
                    yield n, (*candidate.keys(self._call), f"c:{n}")

    def left(self) -> list[tuple[int, tuple[str, ...]]]:
        """Return what of it may still be chosen."""
        own = self.bound if self.only_own else None
        return [(n, keys) for n, keys in self.places() if n not in self._tried and own in {None, n}]

    def busy(self) -> list[int]:
        """Return the upstreams that have as many calls under way as they take."""
        return [each.upstream.id for tier in self._tiers for each in tier.bounded if self._is_full(each)]

    def wanted(self) -> Hashable:
        """Return what is equal for calls that find the same, or nothing."""
        call, own = self._call, self.bound if self.only_own else None
        tried = frozenset(self._tried), frozenset(self._failed_upstreams)
        return call.model, call.endpoint.name, call.stores, own, *tried

    def _only_choice(self) -> Choice | None:
        """What there is without a choice to make: the usual case, found with few words."""
        only = self._tiers[0].only if len(self._tiers) == 1 else None
        if only is None or self._tried or self._signs.health.rests:
            return None
        candidate, place = only
        if not self.waits and self._signs.line.waits_for(place.credential_id):
            return None
        return Choice(candidate, place)

    def _bound_choice(self, now: float) -> Choice | None:
        """The credential that the conversation is with, while it is well."""
        bound = self.bound
        if bound is None or bound in self._tried:
            return None
        for tier in self._tiers:
            for candidate in tier.members:
                place = candidate.upstream.places.get(bound)
                if place is not None:
                    return None if self._is_full(candidate) else self._if_usable(candidate, place, now)
        return None

    def _first(self, now: float, *, again: bool) -> Choice | None:
        """The best place of the highest tier that has one; ``again``: at upstreams that have failed this call."""
        out: set[int] = set()
        is_open = partial(self._is_open, now, out, again)
        for tier in self._tiers:
            while True:
                candidate = tier.choose(self._load_of, is_open=is_open)
                if candidate is None:
                    break
                choice = self._credential(candidate, now)
                if choice is not None:
                    return choice
                out.add(candidate.upstream.id)
        return None

    def _is_open(self, now: float, out: set[int], again: bool, candidate: Candidate) -> bool:  # noqa: FBT001
        if candidate.upstream.id in out or (candidate.upstream.id in self._failed_upstreams) is not again:
            return False
        if self._is_full(candidate):
            return False
        health = self._signs.health
        return not health.rests or health.state(candidate.keys(self._call), now) is not State.OUT

    def _credential(self, candidate: Candidate, now: float) -> Choice | None:
        """The credential of an upstream that is least busy and was longest not used."""
        places = [place for n, place in candidate.upstream.places.items() if n not in self._tried]
        if len(places) > 1:
            places.sort(key=self._rank)
        for place in places:
            if (choice := self._if_usable(candidate, place, now)) is not None:
                return choice
        return None

    def _rank(self, place: Place) -> tuple[float, int, float]:
        """What orders an upstream's credentials: what is left of its account, calls under way, the last use."""
        load, key = self._signs.load, f"c:{place.credential_id}"
        accounts = self._signs.accounts.get(place.kind)
        return -accounts.allowance(place) if accounts else 0.0, load.of(key), load.last_used(key)

    def _if_usable(self, candidate: Candidate, place: Place, now: float) -> Choice | None:
        health = self._signs.health
        if not self.waits and self._signs.line.waits_for(place.credential_id):
            return None
        if not health.rests:
            return Choice(candidate, place)
        keys = (*candidate.keys(self._call), f"c:{place.credential_id}")
        state = health.state(keys, now)
        if state is State.READY or (state is State.DUE and not self.moves_health):
            return Choice(candidate, place)
        trial = health.try_out(keys, now) if state is State.DUE else None
        return None if trial is None else Choice(candidate, place, trial)

    def _is_full(self, candidate: Candidate) -> bool:
        most = candidate.upstream.policy.max_concurrent
        return most is not None and self._load_of(candidate) >= most

    def _load_of(self, candidate: Candidate) -> float:
        return self._signs.load.of(f"u:{candidate.upstream.id}")


def now_s() -> float:
    """Return the time in seconds since the epoch."""
    return time.time_ns() / 1e9
