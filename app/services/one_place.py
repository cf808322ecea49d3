"""The offer of a call that can go to one place only: where the object lives that it continues."""

from __future__ import annotations

from app.protocol.call import Target
from app.protocol.errors import Problem, RelayError
from app.services.load import Load
from app.upstreams.verdict import Verdict

NO_RETRY = (("x-should-retry", "false"),)
"""Official clients ask again after a 409 if they aren't told not to."""


class OnePlace:
    """The offer of a call that can go to one place only, whatever that one's health: one try."""

    def __init__(self, target: Target, *, load: Load) -> None:
        self._target: Target | None = target
        self._load = load

    def next(self, patience_s: float) -> Target | None:
        """Return the place, once. Raises ``RelayError`` after that."""
        target, self._target = self._target, None
        if target is None:
            raise RelayError(Problem.OVERLOADED, "The upstream could not serve this request; try again later.")
        self._load.begin(target.place)
        return target

    def leave(self) -> None:
        """It never waits."""

    def read_elsewhere(self) -> bool:
        """There is nowhere else."""
        return False

    def unreadable(self, target: Target) -> RelayError:
        """Return what the caller is told where it can't go on without it."""
        message = "The account that keeps what this request continues can't read the encrypted state in it."
        return RelayError(Problem.UNREADABLE, message, headers=NO_RETRY)

    def left_out(self) -> tuple[tuple[str, str], ...] | None:
        """Nothing: there was no choice."""
        return None

    def failed(self, target: Target, verdict: Verdict) -> None:
        """The call is over."""
        self.done(target)

    def opened(self, target: Target, turn_state: str) -> None:
        """Nothing follows from it."""

    def done(self, target: Target) -> None:
        """The call is over."""
        self._load.end(target.place)
