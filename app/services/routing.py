"""Where a call can be sent: the candidates of a model, the best first."""

from __future__ import annotations

from app.protocol.call import Call, Caller, Place, Target
from app.protocol.endpoints import ENDPOINTS, Endpoint, Protocol
from app.protocol.errors import Problem, RelayError
from app.services.directory import Directory
from app.services.snapshot import ModelEntry, RouteEntry, UpstreamEntry
from app.upstreams import UPSTREAMS


class Router:
    """Chooses from the snapshot; asks nobody."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def candidates(self, call: Call) -> list[Target]:
        """Return the targets of a call, best first. Raises ``RelayError`` when there is none."""
        if not call.endpoint.needs_model:
            return self._any_upstream(call.endpoint)
        routes = self._routes(call)
        targets = [Target(place, route.upstream_model) for route in routes for place in route.upstream.places.values()]
        if not targets:
            raise RelayError(Problem.MODEL_NOT_FOUND, _unknown_model(call.model), param="model")
        return targets

    def fixed(self, call: Call, place: Place) -> Target:
        """Return the target of a call that must go to ``place``. Raises ``RelayError`` when it can't."""
        if not call.endpoint.needs_model or not call.model:
            return Target(place)
        for route in self._routes(call):
            if route.upstream.id == place.upstream_id:
                return Target(place, route.upstream_model)
        message = f"The model '{call.model[:200]}' can't continue an object that another provider keeps."
        raise RelayError(Problem.MODEL_NOT_FOUND, message, param="model")

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

    def _routes(self, call: Call) -> list[RouteEntry]:
        """Return the usable routes of the call's model. Raises ``RelayError`` (404) for a model that isn't served."""
        entry = self._directory.snapshot.model(call.model)
        if entry is None or not call.caller.may_use(call.model):
            raise RelayError(Problem.MODEL_NOT_FOUND, _unknown_model(call.model), param="model")
        routes = [route for route in entry.routes if _serves(route, call.endpoint)]
        if not routes:
            raise RelayError(Problem.MODEL_NOT_FOUND, _elsewhere(entry, call), param="model")
        return routes

    def _any_upstream(self, endpoint: Endpoint) -> list[Target]:
        """Return every place that has an endpoint which names no model."""
        able = [
            entry
            for entry in self._directory.snapshot.upstreams.values()
            if entry.enabled and entry.places and UPSTREAMS[entry.kind].serves(endpoint)
        ]
        if not able:
            raise RelayError(Problem.UNSUPPORTED, "No upstream offers this endpoint.")
        best = sorted(able, key=lambda entry: (-entry.priority, entry.id))
        return [Target(place) for entry in best for place in entry.places.values()]


def _serves(route: RouteEntry, endpoint: Endpoint) -> bool:
    upstream: UpstreamEntry = route.upstream
    return upstream.enabled and bool(upstream.places) and UPSTREAMS[upstream.kind].serves(endpoint)


def _reachable(entry: ModelEntry, protocol: Protocol) -> bool:
    endpoints = [endpoint for endpoint in ENDPOINTS if endpoint.protocol is protocol and endpoint.needs_model]
    return any(_serves(route, endpoint) for route in entry.routes for endpoint in endpoints)


def _unknown_model(model: str) -> str:
    return f"The model '{model[:200]}' does not exist or you do not have access to it."


def _elsewhere(entry: ModelEntry, call: Call) -> str:
    """Name the endpoints on which this model can be had, where there are any."""
    paths = [e.path for e in ENDPOINTS if e.needs_model and any(_serves(route, e) for route in entry.routes)]
    if not paths:
        return _unknown_model(call.model)
    return f"The model '{call.model[:200]}' is not available on {call.endpoint.path}; it is on {', '.join(paths)}."
