"""What the core needs from the floor above, as it sees it; ``wiring`` brings both together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from app.protocol.call import Call, Caller, Owned, Place, Target
from app.protocol.conversation import Conversation
from app.protocol.endpoints import ObjectKind
from app.protocol.errors import RelayError
from app.protocol.record import Record
from app.protocol.usage import Usage
from app.upstreams.verdict import Verdict


class Registry(Protocol):
    """Who owns which stored object."""

    def find(self, caller: Caller, kind: ObjectKind, object_id: str) -> Owned:
        """Return the caller's object. Raises ``RelayError`` for everything that isn't the caller's."""

    def admit(self, call: Call) -> None:
        """Raise ``RelayError`` (503) when the call's answer is to be stored and no owner can be written down now."""

    def claim(self, call: Call, place: Place, ids: list[tuple[ObjectKind, str]]) -> None:
        """Make the caller the owner of these ids, durably, before returning; an owner is never replaced.

        Raises ``RelayError`` (503) when that can't be done.
        """

    def forget(self, owned: Owned) -> None:
        """Turn an object's row into a tombstone; the owner stays."""

    def page(
        self, caller: Caller, kind: ObjectKind, *, after: str | None, limit: int, newest_first: bool, model: str | None
    ) -> tuple[list[Owned], str | None]:
        """Return the caller's next objects in order of creation, and the id to go on after (None: there are no more).

        Raises ``RelayError`` (404) when ``after`` isn't the caller's.
        """


class Offer(Protocol):
    """The places that can serve one call, one after another, the best first.

    Each target that ``next`` gave out is followed by ``failed`` or by ``done``; ``opened`` may come before that.
    """

    def next(self, patience_s: float) -> Target | None:
        """Return where to try; None when that is still being waited for after ``patience_s``: ask again.

        Raises ``RelayError`` when there is no place, or none is left.
        """

    def leave(self) -> None:
        """Take note that the call waits no longer; always called after ``next``, however that ended."""

    def read_elsewhere(self) -> bool:
        """Whether a place that may still be tried could read what the call has sealed: nobody knows who made it."""

    def unreadable(self, target: Target) -> RelayError:
        """Take note that a place can't read it; return what the caller is told where nobody can go on without it."""

    def left_out(self) -> tuple[tuple[str, str], ...] | None:
        """Return what is left out for now of what could serve this call, and why; None where nothing is."""

    def failed(self, target: Target, verdict: Verdict) -> None:
        """Take note that the call failed there, and why; that place is free of it again."""

    def opened(self, target: Target, turn_state: str) -> None:
        """Take note that the call has begun to be answered there; ``turn_state`` is what the upstream names it by."""

    def done(self, target: Target) -> None:
        """Take note that the call is over there, however it ended."""


class Router(Protocol):
    """Where a call can be sent."""

    def offer(self, call: Call, conversation: Conversation, *, place: Place | None = None) -> Offer:
        """Return the places of a call; with ``place`` only that one, for one try, whatever its health.

        Raises ``RelayError`` when the model isn't served, or not there.
        """


class Accounts(Protocol):
    """What has to be known of credentials that are more than a key; one for each kind of upstream that has such."""

    def renew(self, place: Place) -> Place | None:
        """Return the place with a fresh secret after an upstream refused the present one; None where there is none."""

    def observed(self, place: Place, headers: Mapping[str, str]) -> None:
        """Take in what the headers of an answer tell of the account, refusals included. Quick: calls wait for it."""

    def allowance(self, place: Place) -> float:
        """Return how willing the account is to take a new conversation, from 0 (none left) to 1 (all of it)."""


class Unread(Protocol):
    """What each account was found not to read of sealed state, by its marks."""

    def by(self, place: Place) -> Collection[bytes]:
        """Return the marks of what an account can't read."""

    def learned(self, place: Place, marks: Iterable[bytes]) -> None:
        """Take note of more."""


class Ticket(Protocol):
    """Room that a call has taken; ``headers`` tell its caller what is left."""

    @property
    def headers(self) -> list[tuple[str, str]]: ...


class Limits(Protocol):
    """How much a caller may use."""

    def acquire(self, call: Call, conversation: str) -> Ticket:
        """Return the room for a call, held until its record is settled. Raises ``RelayError`` when there is none.

        ``conversation`` is the key of the conversation that the client named, empty where it named none.
        """


class Ledger(Protocol):
    """What is kept of each call."""

    def admit(self) -> None:
        """Raise ``RelayError`` (503) when there is no room left to keep the record of another call."""

    def open(self, record: Record) -> None:
        """Keep that a call has begun; its record, with the end ``aborted``, holds if no ``settle`` follows."""

    def settle(self, record: Record) -> None:
        """Keep a finished call's record so that a killed worker can't lose it; the first settle of a call counts."""

    def complete(self, caller: Caller, object_id: str, usage: Usage) -> None:
        """Give the record of a background response the usage that its owner has now read."""
