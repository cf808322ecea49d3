"""Who is left out for a while: cool-downs of upstreams, of their endpoints and models, and of credentials.

A cool-down follows a failure that says enough by itself, or the third within half a minute with no success between. It
grows with each failed trial, and ends by a live trial, one at a time; one whose end the upstream itself has named ends
for everybody then. Times are seconds since the epoch, for workers on several hosts share them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from enum import IntEnum

import msgspec
import structlog

from app.services.board import Board
from app.upstreams.verdict import Verdict

TOPIC = "health"
REST_MAX_S = 600.0
ENDPOINT_REST_S = 3600.0
TRIAL_S = 360.0
"""How long a trial can take before it is taken for lost: a first byte and more."""
TRIALS_APART_S = 1.0
KEPT_S = 3600.0
"""How long a cool-down that is over waits for its trial before it is forgotten."""
RESTS_MAX = 10_000


class State(IntEnum):
    """How a key stands; of several the highest counts."""

    READY = 0
    DUE = 1
    """Over, and to be tried by one call first."""
    OUT = 2


class Rest(msgspec.Struct, array_like=True):
    """A cool-down. ``streak`` counts the failures in a row, ``fixed`` says that the upstream named its end."""

    until: float
    streak: int
    fixed: bool
    reason: str


_rest = msgspec.json.Decoder(Rest)
log = structlog.get_logger()


class Health:
    """What one worker knows; the board tells the others."""

    def __init__(
        self,
        board: Board,
        *,
        cooldown_s: float,
        failures: int = 3,
        window_s: float = 30.0,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._board = board
        self._cooldown_s = cooldown_s
        self._failures_max = failures
        self._window_s = window_s
        self._changed = changed
        """Called when somebody may be asked again."""
        self.rests: dict[str, Rest] = {}
        self._failures: dict[str, list[float]] = {}
        self._trials: dict[str, float] = {}
        board.follow(TOPIC, self._take)

    def state(self, keys: Iterable[str], now: float) -> State:
        """Return how the worst of these keys stands."""
        worst = State.READY
        for key in keys:
            rest = self.rests.get(key)
            if rest is None:
                continue
            if rest.until > now:
                return State.OUT
            if rest.fixed:
                del self.rests[key]
            else:
                worst = State.DUE
        return worst

    def returns_at(self, keys: Iterable[str]) -> float:
        """Return when the last of these keys is to be tried again."""
        return max((self.rests[key].until for key in keys if key in self.rests), default=0.0)

    def reason(self, keys: Iterable[str]) -> str:
        """Return why these keys are left out: by the one that is to be tried again last; empty where none is."""
        rests = [self.rests[key] for key in keys if key in self.rests]
        return max(rests, key=lambda rest: rest.until).reason if rests else ""

    def try_out(self, keys: Iterable[str], now: float) -> list[str] | None:
        """Return the keys that this call is now the one trial of; None when another call is."""
        due = [key for key in keys if key in self.rests]
        claimed: list[str] = []
        for key in due:
            if now - self._trials.get(key, 0.0) < TRIALS_APART_S or not self._board.claim(key, life_s=TRIAL_S):
                self.abandon(claimed)
                return None
            self._trials[key] = now
            claimed.append(key)
        return claimed

    def abandon(self, trial: Iterable[str]) -> None:
        """End a trial that showed nothing."""
        for key in trial:
            self._board.release(key)
            self._changed()

    @property
    def doubts(self) -> bool:
        """Whether anything has failed lately, so that a call's success is news."""
        return bool(self.rests or self._failures)

    def succeeded(self, keys: Iterable[str], now: float) -> None:
        """A call was served: what stood in the way is over, but for what the upstream itself gave an end."""
        for key in keys:
            self._failures.pop(key, None)
            rest = self.rests.get(key)
            if rest is not None and not (rest.fixed and rest.until > now):
                del self.rests[key]
                self._trials.pop(key, None)
                self._board.release(key)
                self._tell(key, b"", KEPT_S)
                log.info("taken_back", what=key)

    def failed(self, key: str, verdict: Verdict, now: float, *, trial: bool) -> None:
        """A call failed for what ``key`` stands for; ``trial`` says that it was tried out by it."""
        if trial:
            self._board.release(key)
        rest = self.rests.get(key)
        if self._cooldown_s == 0 or (rest is not None and rest.until > now and not verdict.rest_s):
            return  # nobody is to be left out, or the call began before the cool-down did
        if not (trial or verdict.at_once or verdict.rest_s or self._too_often(key, now)):
            return
        streak = rest.streak + 1 if rest is not None else 1
        lasts = verdict.rest_s or min(REST_MAX_S, self._cooldown_s * streak)
        until = max(now + lasts, rest.until if rest is not None else 0.0)
        if rest is None:
            log.warning("left_out", what=key, seconds=round(lasts, 1), reason=verdict.reason)
        self._put(key, Rest(until, streak, bool(verdict.rest_s), verdict.reason))

    def _too_often(self, key: str, now: float) -> bool:
        recent = [at for at in self._failures.get(key, ()) if now - at < self._window_s]
        recent.append(now)
        self._failures[key] = recent
        if len(recent) < self._failures_max:
            return False
        del self._failures[key]
        return True

    def _put(self, key: str, rest: Rest) -> None:
        self._keep(key, rest)
        life_s = max(1.0, rest.until - _now()) + (0.0 if rest.fixed else KEPT_S)
        self._tell(key, msgspec.json.encode(rest), life_s)

    def _keep(self, key: str, rest: Rest) -> None:
        """Keep one, and where there are too many drop those that are over since long, else those that end first."""
        self.rests[key] = rest
        if len(self.rests) <= RESTS_MAX:
            return
        oldest = sorted(self.rests, key=lambda key: self.rests[key].until)
        for old in oldest[: RESTS_MAX // 10]:
            del self.rests[old]

    def _tell(self, key: str, news: bytes, life_s: float) -> None:
        self._board.tell(TOPIC, key, news, life_s=life_s)
        self._changed()

    def _take(self, key: str, news: bytes) -> None:
        if news:
            self._keep(key, _rest.decode(news))
        else:
            self.rests.pop(key, None)
        self._changed()


def _now() -> float:
    return time.time_ns() / 1e9
