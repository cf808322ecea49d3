"""What is offered to one call: its conversation's own credential first, then tier by tier who is well and least busy.

A cool-down that is over is ended by one call, which tries that place first; as long as it does, others go elsewhere, or
wait in line for what it shows where there is nowhere else to go. A call that carries what only one account can read
waits for that one a little, even where there is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, islice

import msgspec

from app.protocol.call import Call, Target
from app.protocol.conversation import Conversation, by_its_beginning, digest
from app.protocol.endpoints import Protocol
from app.protocol.errors import Problem, RelayError
from app.protocol.headers import TURN_STATE
from app.services.candidates import Tier
from app.services.choosing import Choice, Choosing, Signs, now_s
from app.services.health import ENDPOINT_REST_S, State
from app.services.line import Spot
from app.services.one_place import NO_RETRY
from app.upstreams.verdict import Scope, Verdict

TRIAL_WAIT_S = 5.0
"""How long a call waits for what another's trial shows, for a busy upstream, and for the one account it depends on."""
LEFT_OUT_MAX = 20
NOBODYS = frozenset({Scope.NOTHING, Scope.REQUEST})
LIMITS = frozenset({"rate_limited", "quota"})


class Offer:
    """The places for one call."""

    def __init__(self, call: Call, conversation: Conversation, tiers: list[Tier], *, signs: Signs) -> None:
        self._call = call
        self._signs = signs
        self._tiers = tiers
        if len(tiers) > 1 or (tiers and tiers[0].places > 1):  # with one place only there is nothing to remember
            conversation = by_its_beginning(call, conversation)
        turn, own = _turn_keys(call), _conversation_keys(call, conversation)
        self._keys = turn + own
        # A beginning that others may share binds nobody: nothing is lost yet by going anywhere.
        known = self._keys if conversation.named or conversation.continues else turn
        self.bound = next((n for key in known if (n := signs.affinity.of(key)) is not None), None) if known else None
        self._choosing = Choosing(call, tiers, signs=signs, bound=self.bound)
        known_for = self.bound if conversation.sealed else None
        serves = known_for is not None and any(n == known_for for n, _ in self._choosing.places())
        self._own = known_for if serves else None
        """The credential that alone can read what the call carries, as far as that is known."""
        self._choosing.only_own = serves
        self._present: Choice | None = None
        self._spot: Spot[Choice] | None = None
        self._asked_at = time.monotonic()

    def next(self, patience_s: float) -> Target | None:
        """Return where to try; None when that is still being waited for after ``patience_s``. Raises ``RelayError``."""
        choice = self._choosing.take() if self._spot is None else self._spot.granted
        if choice is None:
            choice = self._wait(patience_s)
        if choice is None:
            return None
        self._spot, self._choosing.waits = None, False
        self._present = choice
        self._choosing.tries(choice)
        self._choosing.only_own = False
        return Target(choice.place, choice.candidate.model)

    def leave(self) -> None:
        """Take note that the call waits no longer."""
        spot, self._spot = self._spot, None
        self._choosing.waits = False
        if spot is not None:
            self._signs.line.leave(spot)

    # -- what only one account can read -------------------------------------------------------------------------------
    def read_elsewhere(self) -> bool:
        """Whether somebody who may still be asked could read it: where nobody knows which account made it."""
        state, now = self._signs.health.state, now_s()
        return self._own is None and any(state(keys, now) is not State.OUT for _, keys in self._choosing.left())

    def unreadable(self, target: Target) -> RelayError:
        """Take note that a place can't read it; return what the caller is told where nobody can go on without it."""
        if target.place.credential_id == self._own:
            self._own = None
        own = [keys for n, keys in self._choosing.places() if n == self._own]
        others = [keys for _, keys in self._choosing.left()]
        if not own and not others:
            message = "No account that serves this model can read the encrypted state that this conversation carries."
            return RelayError(Problem.UNREADABLE, message, headers=NO_RETRY)
        message = "The account that can read this conversation's encrypted state is out for now; try again later."
        wait = max(1, -int(-(self._soonest(own or others) or 0.0) // 1))
        return RelayError(Problem.OVERLOADED, message, retry_after=wait)

    # -- how it went --------------------------------------------------------------------------------------------------
    def left_out(self) -> tuple[tuple[str, str], ...] | None:
        """Return what is left out for now of what could serve this call, and why; None where nothing is."""
        rests, busy = self._signs.health.rests, self._choosing.busy()
        if not rests and not busy:
            return None
        now, model = now_s(), f":{self._call.model}"
        full = ((f"u:{number}", "busy") for number in busy)
        resting = (
            (key, rest.reason)
            for key, rest in rests.items()
            if (not rest.fixed or rest.until > now) and self._concerns(key, model)
        )
        return tuple(islice(chain(full, resting), LEFT_OUT_MAX)) or None

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
            self._choosing.failed_at(choice.place.upstream_id)
        if verdict.scope is Scope.ENDPOINT:
            verdict = msgspec.structs.replace(verdict, rest_s=ENDPOINT_REST_S)
        counts = (self._choosing.moves_health or verdict.scope is Scope.ENDPOINT) and verdict.scope not in NOBODYS
        if counts:
            health, trial = self._signs.health, key in choice.trial
            if trial and verdict.key_refused and health.reason([key]) == verdict.reason:
                self._signs.dismiss(choice.place)
            health.failed(key, verdict, now_s(), trial=trial)
        self._signs.health.abandon(other for other in choice.trial if other != key or not counts)

    def _cause(self, choice: Choice, scope: Scope) -> str:
        """Return what a failure is the fault of, as ``health`` names it."""
        upstream, route, endpoint = choice.candidate.keys(self._call)
        causes = {Scope.CREDENTIAL: f"c:{choice.place.credential_id}", Scope.ROUTE: route, Scope.ENDPOINT: endpoint}
        return causes.get(scope, upstream)

    def opened(self, target: Target, turn_state: str) -> None:
        """Take note that the call has begun to be answered there: what was doubtful is well, and there it stays."""
        choice = self._present
        if choice is None:
            return
        health, place = self._signs.health, choice.place
        if not self._choosing.moves_health:
            health.abandon(choice.trial)
        elif health.doubts:
            health.succeeded((*choice.candidate.keys(self._call), f"c:{place.credential_id}"), now_s())
        if choice.trial:
            self._present = msgspec.structs.replace(choice, trial=())
        if turn_state and self._call.endpoint.protocol is Protocol.OPENAI:
            self._signs.affinity.bind(_turn_key(self._call, turn_state), place.credential_id)
        for key in self._keys:
            self._signs.affinity.bind(key, place.credential_id)

    def done(self, target: Target) -> None:
        """Take note that the call is over there."""
        choice = self._over(target)
        if choice is not None:
            self._signs.health.abandon(choice.trial)

    # -- nothing to choose --------------------------------------------------------------------------------------------
    def _wait(self, patience_s: float) -> Choice | None:
        """Wait in line where waiting is worth it. Raises ``RelayError``: all tried, or all out for longer than that."""
        refused = self._hopeless()
        if refused is not None and self._choosing.only_own:  # then another account must serve
            self.leave()
            self._choosing.only_own = False
            if (choice := self._choosing.take()) is not None:
                return choice
            refused = self._hopeless()
        if refused is None and (spot := self._spot or self._join()) is not None:
            return spot.wait(patience_s)
        self.leave()
        raise refused or self._all_out(0.0)  # too many wait

    def _join(self) -> Spot[Choice] | None:
        """Stand in line; None where too many do."""
        choosing = self._choosing
        places = frozenset(n for n, _ in choosing.left())
        spot = Spot(
            choosing.wanted(),
            places,
            who=self._call.caller.user_id,
            take=choosing.take,
            give_back=self._signs.give_back,
            returns_s=self._returns_s,
        )
        choosing.waits = self._signs.line.join(spot)
        self._spot = spot if choosing.waits else None
        return self._spot

    def _hopeless(self) -> RelayError | None:
        """Return what the caller is told where nothing comes free soon enough to wait for it."""
        if not self._choosing.left():
            return RelayError(Problem.OVERLOADED, "No upstream could serve this request; try again later.")
        returns_s, waited = self._returns_s(), time.monotonic() - self._asked_at
        queue_s = max(self._signs.queue_wait_s, TRIAL_WAIT_S if self._choosing.only_own else 0.0)
        if returns_s is None:  # busy, or others came first
            worth_it = waited < max(queue_s, TRIAL_WAIT_S)
        elif returns_s > 0:
            worth_it = waited + returns_s <= queue_s
        else:  # tried out by another call
            worth_it = min(waited, -returns_s) < TRIAL_WAIT_S
        return None if worth_it else self._all_out(returns_s or 0.0)

    def _returns_s(self) -> float | None:
        """Return in how many seconds the first of what is left is to be tried again; None where one is well."""
        return self._soonest(keys for _, keys in self._choosing.left())

    def _soonest(self, places: Iterable[tuple[str, ...]]) -> float | None:
        at = min((self._signs.health.returns_at(keys) for keys in places), default=0.0)
        return at - now_s() if at else None

    def _all_out(self, seconds: float) -> RelayError:
        wait = max(1, -int(-seconds // 1))
        if {self._signs.health.reason(keys) for _, keys in self._choosing.left()} <= LIMITS:
            message = "Every upstream that serves this model limits the rate of requests; try again later."
            return RelayError(Problem.RATE_LIMITED, message, retry_after=wait)
        message = "Every upstream that serves this model is out for now; try again later."
        return RelayError(Problem.OVERLOADED, message, retry_after=wait)

    def _over(self, target: Target) -> Choice | None:
        choice, self._present = self._present, None
        if choice is not None:
            self._signs.load.end(choice.place)
        return choice


def _turn_keys(call: Call) -> list[str]:
    states = _turn_states(call.headers)
    return [_turn_key(call, state) for state in states] if states else []


@lru_cache(maxsize=1024)
def _turn_states(headers: tuple[tuple[str, str], ...]) -> list[str]:
    """Return the states among a caller's headers; the same ones come with many calls."""
    return [value for name, value in headers if name == TURN_STATE]


def _conversation_keys(call: Call, conversation: Conversation) -> list[str]:
    return [f"{call.endpoint.protocol}:{conversation.key}"] if conversation.key else []


def _turn_key(call: Call, state: str) -> str:
    return f"t:{digest(call.caller, 'turn', state.encode())}"
