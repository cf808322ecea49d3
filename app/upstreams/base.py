"""The port of every kind of upstream: how a call is put, and what its answer means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote

import msgspec

from app.protocol.call import Call, Owned, Place, Target
from app.protocol.endpoints import Endpoint
from app.upstreams.verdict import Verdict, judge


class Outgoing(msgspec.Struct, frozen=True):
    """One request as it goes to an upstream."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


class Adapter:
    """One kind of upstream. Pure: makes requests and reads answers, sends nothing."""

    kind: ClassVar[str]
    label: ClassVar[str]
    default_base_url: ClassVar[str]
    served: ClassVar[frozenset[str]]
    """Names of the endpoints that this kind of upstream has."""
    keeps_objects: ClassVar[bool] = True
    """Whether what it stores can be read back; otherwise its owner is told 501."""

    def serves(self, endpoint: Endpoint) -> bool:
        """Whether this kind of upstream has the endpoint at all."""
        return endpoint.name in self.served

    def hides_usage(self, call: Call) -> bool:
        """Whether a stream's usage is asked for on Realms' own behalf, so that its event is kept from the caller."""
        return False

    def added(self, call: Call, target: Target) -> tuple[str, ...]:
        """Return the members that are in the request at a target on Realms' own behalf, and not the caller's."""
        return ()

    def prepare(self, call: Call, target: Target) -> Outgoing:
        """Return the request of a create or tool call at a target."""
        return self._outgoing(call, target.place, self._body(call, target))

    def prepare_object(self, call: Call, owned: Owned) -> Outgoing:
        """Return the request of a call on a stored object; its address comes from the registry alone."""
        return self._outgoing(call, owned.place, self._object_body(call), object_id=owned.object_id)

    def judge(self, status: int, headers: Mapping[str, str], body: bytes, *, call: Call) -> Verdict | None:
        """Return what an answer means, None for a good one; a kind with failures of its own looks for these first."""
        return judge(status, headers, body, call=call)

    def list_request(self, base_url: str, key: str) -> tuple[str, dict[str, str]]:
        """Return URL and headers that ask an upstream for its models."""
        return join(base_url, "/v1/models"), dict(self._credential(key))

    def listed(self, body: bytes) -> list[str]:
        """Return the model ids of a model list, sorted. Raises ``ValueError`` for anything else."""
        try:
            return sorted({entry["id"] for entry in json.loads(body)["data"] if isinstance(entry["id"], str)})
        except (ValueError, TypeError, KeyError):
            raise ValueError("the answer is not a list of models") from None

    def _credential(self, secret: str) -> tuple[tuple[str, str], ...]:
        raise NotImplementedError

    def _body(self, call: Call, target: Target) -> bytes | None:
        if call.body is None:
            return None
        if target.model and target.model != call.model:
            return call.body.with_members({"model": msgspec.json.encode(target.model)}).body
        return call.body.body

    def _object_body(self, call: Call) -> bytes | None:
        return None if call.body is None else call.body.body

    def _outgoing(self, call: Call, place: Place, body: bytes | None, *, object_id: str = "") -> Outgoing:
        path = call.endpoint.path.replace("<object_id>", quote(object_id, safe=""))
        path = path.replace("<item_id>", quote(call.item_id, safe=""))
        url = join(place.base_url, path) + (f"?{call.query}" if call.query else "")
        headers = (*call.headers, *self._credential(place.secret))
        return Outgoing(call.endpoint.method, url, headers, body)


def join(base_url: str, path: str) -> str:
    """Return the address of an endpoint under a base URL that may or may not end in ``/v1`` itself."""
    return base_url + (path.removeprefix("/v1") if base_url.endswith("/v1") else path)
