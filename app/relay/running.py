"""What can be told of calls while they are under way, read off a worker; costs nothing before somebody asks."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from app.relay.trace import Trace
from app.relay.watch import Live


class State(StrEnum):
    """Whom a call waits for at the moment."""

    WAITING = "waiting"
    """The client has been shown nothing yet."""
    ANSWERING = "answering"
    HELD = "held"
    """The client doesn't take what it is sent."""
    ENDING = "ending"


class Running(msgspec.Struct, frozen=True, array_like=True):
    """One call under way; ``since`` in seconds since the epoch, ``events`` and ``sent`` what the client got so far."""

    id: str
    since: float
    user_id: int
    token_id: int
    endpoint: str
    model: str
    stream: bool
    upstream_id: int | None
    """Where it is being tried; None while it waits for a place."""
    events: int
    sent: int
    """In bytes."""
    state: State


def running(calls: Iterable[Live], most: int) -> list[Running]:
    """Return the calls under way, those that have run longest first and at most so many of them."""
    shown = [_told(live, live.trace) for live in list(calls) if live.trace is not None]
    return sorted(shown, key=lambda call: call.since)[:most]


def told(calls: Iterable[Live]) -> list[Trace]:
    """Return the stories of the calls under way."""
    return [live.trace for live in calls if live.trace is not None]


def _told(live: Live, trace: Trace) -> Running:
    call = trace.call
    return Running(
        id=call.id,
        since=trace.at,
        user_id=call.caller.user_id,
        token_id=call.caller.token_id,
        endpoint=call.endpoint.name,
        model=call.model,
        stream=call.stream,
        upstream_id=None if trace.place is None else trace.place.upstream_id,
        events=trace.events,
        sent=trace.bytes_out,
        state=_state(live, trace),
    )


def _state(live: Live, trace: Trace) -> State:
    if live.cut is not None:
        return State.ENDING
    if live.held:
        return State.HELD
    return State.ANSWERING if trace.bytes_out else State.WAITING
