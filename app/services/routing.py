"""Where a call can be sent. Chosen from the snapshot and from what this worker knows; nobody is asked."""

from __future__ import annotations

from app.protocol.call import Call, Caller, Place, Target
from app.protocol.conversation import Conversation
from app.protocol.endpoints import ENDPOINTS, Protocol
from app.services.candidates import Candidates, serves
from app.services.choosing import Signs
from app.services.directory import Directory
from app.services.offer import Offer
from app.services.one_place import OnePlace
from app.services.snapshot import ModelEntry


class Router:
    """Offers places to calls, and tells which models can be reached."""

    def __init__(self, directory: Directory, signs: Signs) -> None:
        self._directory = directory
        self._candidates = Candidates(directory)
        self._signs = signs

    def offer(self, call: Call, conversation: Conversation, *, place: Place | None = None) -> Offer | OnePlace:
        """Return the places of a call; with ``place`` only that one, for one try, whatever its health.

        Raises ``RelayError`` when the model isn't served, or not there.
        """
        if place is None:
            return Offer(call, conversation, self._candidates.tiers(call), signs=self._signs)
        return OnePlace(Target(place, self._candidates.name_at(call, place.upstream_id)), load=self._signs.load)

    def models(self, protocol: Protocol, caller: Caller) -> list[ModelEntry]:
        """Return the models that a caller can reach by a protocol, in order of name; patterns have none to show."""
        return [
            entry
            for entry in self._directory.snapshot.models.values()
            if caller.may_use(entry.name) and _reachable(entry, protocol)
        ]

    def model(self, protocol: Protocol, caller: Caller, name: str) -> ModelEntry | None:
        """Return the entry that serves a name to a caller by a protocol, or None."""
        entry = self._directory.snapshot.model(name)
        return entry if entry and caller.may_use(name) and _reachable(entry, protocol) else None


def _reachable(entry: ModelEntry, protocol: Protocol) -> bool:
    endpoints = [endpoint for endpoint in ENDPOINTS if endpoint.protocol is protocol and endpoint.needs_model]
    return any(serves(route, endpoint) for route in entry.routes for endpoint in endpoints)
