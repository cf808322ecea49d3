"""What is offered to one call: its conversation's own credential first, then tier by tier who is well and least busy.

A cool-down that is over is ended by one call, which tries that place first; as long as it does, others go elsewhere, or
wait a little for what it shows where there is nowhere else to go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import msgspec

from app.protocol.call import Call, Place, Target
from app.protocol.conversation import Conversation, digest
from app.protocol.endpoints import Kind
from app.protocol.errors import Problem, RelayError
from app.relay.ports import Accounts
from app.services.affinity import Affinity
from app.services.candidates import Candidate, Tier
from app.services.health import ENDPOINT_REST_S, Health, State
from app.services.load import Load, load_keys
from app.upstreams.verdict import Scope, Verdict

TRIAL_WAIT_S = 5.0
LEFT_OUT_MAX = 20
WAITING_MAX = 1000
"""Calls of one worker that may wait for a place; more are told at once."""
TURN_STATE = "x-codex-turn-state"
NOBODYS = frozenset({Scope.NOTHING, Scope.REQUEST})
LIMITS = frozenset({"rate_limited", "quota"})


class Signs(msgspec.Struct, frozen=True):
    """What an offer goes by, beyond the configuration."""

    health: Health
    load: Load
    affinity: Affinity
    accounts: Mapping[str, Accounts]
    dismiss: Callable[[Place], None]
    """Takes a credential out for good that was refused, and refused again when it was tried out."""
    queue_wait_s: float = 0.0


class Choice(msgspec.Struct, frozen=True):
    """One place that was given out; ``trial`` holds the cool-downs that the call tries to end."""

    candidate: Candidate
    place: Place
    trial: list[str]


class Offer:
    """The places for one call."""

    def __init__(self, call: Call, conversation: Conversation, tiers: list[Tier], *, signs: Signs) -> None:
        self._call = call
        self._signs = signs
        self._tiers = tiers
        self._moves_health = call.endpoint.kind is Kind.CREATE and call.endpoint.needs_model
        turn, own = _turn_keys(call), _conversation_keys(call, conversation)
        self._keys = turn + own
        # A beginning that others may share binds nobody: nothing is lost yet by going anywhere.
        known = self._keys if conversation.named or conversation.continues else turn
        self.bound = next((n for key in known if (n := signs.affinity.of(key)) is not None), None)
        self._tried: set[int] = set()
        self._failed_upstreams: set[int] = set()
        self._present: Choice | None = None
        self._asked_at = time.monotonic()

    def next(self, patience_s: float) -> Target | None:
        """Return where to try; None when that is still being waited for after ``patience_s``. Raises ``RelayError``."""
        choice = self._choose()
        if choice is None:
            self._await_place(patience_s)
            choice = self._choose()
        if choice is None:
            return None
        self._present = choice
        self._tried.add(choice.place.credential_id)
        self._signs.load.begin(*load_keys(choice.place))
        return Target(choice.place, choice.candidate.model)

    def left_out(self) -> tuple[tuple[str, str], ...] | None:
        """Return what is left out for now of what could serve this call, and why; None where nothing is."""
        rests = self._signs.health.rests
        if not rests:
            return None
        now, model = _now(), f":{self._call.model}"
        found = [
            (key, rest.reason)
            for key, rest in list(rests.items())
            if (not rest.fixed or rest.until > now) and self._concerns(key, model)
        ]
        return tuple(found[:LEFT_OUT_MAX]) or None

    def _concerns(self, key: str, model: str) -> bool:
        """Whether a cool-down is of anything that this call could go to; patterns' models only the call can tell."""
        if any(key in tier.names for tier in self._tiers):
            return True
        route = key.startswith("r:") and key.endswith(model)
        return route and any(f"u:{key.split(':')[1]}" in tier.names for tier in self._tiers)

    def failed(self, target: Target, verdict: Verdict) -> None:
        """Take note of why the call failed there."""
        choice = self._over(target)
        if choice is None:
            return
        key = self._cause(choice, verdict.scope)
        if verdict.scope is not Scope.CREDENTIAL:
            self._failed_upstreams.add(choice.place.upstream_id)
        if verdict.scope is Scope.ENDPOINT:
            verdict = msgspec.structs.replace(verdict, rest_s=ENDPOINT_REST_S)
        counts = (self._moves_health or verdict.scope is Scope.ENDPOINT) and verdict.scope not in NOBODYS
        if counts:
            health, trial = self._signs.health, key in choice.trial
            if trial and verdict.key_refused and health.reason([key]) == verdict.reason:
                self._signs.dismiss(choice.place)
            health.failed(key, verdict, _now(), trial=trial)
        self._signs.health.abandon(other for other in choice.trial if other != key or not counts)

    def _cause(self, choice: Choice, scope: Scope) -> str:
        """Return what a failure is the fault of, as ``health`` names it."""
        upstream, route, endpoint = choice.candidate.keys(self._call)
        causes = {Scope.CREDENTIAL: f"c:{choice.place.credential_id}", Scope.ROUTE: route, Scope.ENDPOINT: endpoint}
        return causes.get(scope, upstream)

    def opened(self, target: Target, headers: Iterable[tuple[str, str]]) -> None:
        """Take note that the call has begun to be answered there: what was doubtful is well, and there it stays."""
        choice = self._present
        if choice is None:
            return
        if self._moves_health:
            keys = (*choice.candidate.keys(self._call), f"c:{choice.place.credential_id}")
            self._signs.health.succeeded(keys, _now())
        else:
            self._signs.health.abandon(choice.trial)
        self._present = msgspec.structs.replace(choice, trial=[])
        for key in self._keys:
            self._signs.affinity.bind(key, choice.place.credential_id)
        if self._call.endpoint.protocol == "openai":
            issued = next((value for name, value in headers if name == TURN_STATE), "")
            if issued:
                self._signs.affinity.bind(_turn_key(self._call, issued), choice.place.credential_id)

    def done(self, target: Target) -> None:
        """Take note that the call is over there."""
        choice = self._over(target)
        if choice is not None:
            self._signs.health.abandon(choice.trial)

    # -- choosing -----------------------------------------------------------------------------------------------------
    def _choose(self) -> Choice | None:
        now = _now()
        return self._bound_choice(now) or self._first(now, again=False) or self._first(now, again=True)

    def _bound_choice(self, now: float) -> Choice | None:
        """The credential that the conversation is with, while it is well."""
        bound = self.bound
        if bound is None or bound in self._tried:
            return None
        for tier in self._tiers:
            for candidate in tier.members:
                place = candidate.upstream.places.get(bound)
                if place is not None:
                    return self._if_usable(candidate, place, now)
        return None

    def _first(self, now: float, *, again: bool) -> Choice | None:
        """The best place of the highest tier that has one; ``again``: at upstreams that have failed this call."""
        out: set[int] = set()
        for tier in self._tiers:
            while True:
                candidate = tier.choose(self._load_of, is_open=lambda c: self._is_open(c, now, out, again=again))
                if candidate is None:
                    break
                choice = self._credential(candidate, now)
                if choice is not None:
                    return choice
                out.add(candidate.upstream.id)
        return None

    def _is_open(self, candidate: Candidate, now: float, out: set[int], *, again: bool) -> bool:
        if candidate.upstream.id in out or (candidate.upstream.id in self._failed_upstreams) is not again:
            return False
        most = candidate.upstream.policy.max_concurrent
        if most is not None and self._load_of(candidate) >= most:
            return False
        health = self._signs.health
        return not health.rests or health.state(candidate.keys(self._call), now) is not State.OUT

    def _credential(self, candidate: Candidate, now: float) -> Choice | None:
        """The credential of an upstream that is least busy and was longest not used."""
        places = [place for n, place in candidate.upstream.places.items() if n not in self._tried]
        if len(places) > 1:
            places.sort(key=self._rank)
        return next((choice for place in places if (choice := self._if_usable(candidate, place, now))), None)

    def _rank(self, place: Place) -> tuple[float, int, float]:
        """What orders an upstream's credentials: what is left of its account, calls under way, the last use."""
        load, key = self._signs.load, f"c:{place.credential_id}"
        accounts = self._signs.accounts.get(place.kind)
        return -accounts.allowance(place) if accounts else 0.0, load.of(key), load.last_used(key)

    def _if_usable(self, candidate: Candidate, place: Place, now: float) -> Choice | None:
        health = self._signs.health
        if not health.rests:
            return Choice(candidate, place, [])
        keys = (*candidate.keys(self._call), f"c:{place.credential_id}")
        state = health.state(keys, now)
        if state is State.READY or (state is State.DUE and not self._moves_health):
            return Choice(candidate, place, [])
        trial = health.try_out(keys, now) if state is State.DUE else None
        return None if trial is None else Choice(candidate, place, trial)

    def _load_of(self, candidate: Candidate) -> float:
        return self._signs.load.of(f"u:{candidate.upstream.id}")

    # -- nothing to choose --------------------------------------------------------------------------------------------
    def _await_place(self, patience_s: float) -> None:
        """Wait where waiting is worth it. Raises ``RelayError``: all tried, or all out for longer than that."""
        left = [
            (*candidate.keys(self._call), f"c:{n}")
            for tier in self._tiers
            for candidate in tier.members
            for n in candidate.upstream.places
            if n not in self._tried
        ]
        if not left:
            raise RelayError(Problem.OVERLOADED, "No upstream could serve this request; try again later.")
        now, waited = _now(), time.monotonic() - self._asked_at
        health = self._signs.health
        returns = min(health.returns_at(keys) for keys in left)
        patience = TRIAL_WAIT_S if returns <= now else self._signs.queue_wait_s
        if waited + max(0.0, returns - now) >= patience or health.waiting >= WAITING_MAX:
            raise self._all_out(left, returns - now)
        health.await_change(min(patience_s, returns - now) if returns > now else patience_s)

    def _all_out(self, left: list[tuple[str, ...]], seconds: float) -> RelayError:
        wait = max(1, -int(-seconds // 1))
        if {self._signs.health.reason(keys) for keys in left} <= LIMITS:
            message = "Every upstream that serves this model limits the rate of requests; try again later."
            return RelayError(Problem.RATE_LIMITED, message, retry_after=wait)
        message = "Every upstream that serves this model is out for now; try again later."
        return RelayError(Problem.OVERLOADED, message, retry_after=wait)

    def _over(self, target: Target) -> Choice | None:
        choice, self._present = self._present, None
        if choice is not None:
            self._signs.load.end(*load_keys(choice.place))
        return choice


def _turn_keys(call: Call) -> list[str]:
    return [_turn_key(call, value) for name, value in call.headers if name == TURN_STATE]


def _conversation_keys(call: Call, conversation: Conversation) -> list[str]:
    return [f"{call.endpoint.protocol}:{conversation.key}"] if conversation.key else []


def _turn_key(call: Call, state: str) -> str:
    return f"t:{digest(call.caller, 'turn', state.encode())}"


def _now() -> float:
    return time.time_ns() / 1e9
