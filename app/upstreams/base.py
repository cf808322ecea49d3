"""The port of every kind of upstream: how a call is put, and what its answer means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar
from urllib.parse import quote

import msgspec

from app.protocol.call import Call, Owned, Place, Target
from app.protocol.endpoints import Endpoint
from app.protocol.envelope import Envelope
from app.upstreams.shape import headers_of, query_of, shaped
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
    auth: ClassVar[str] = "bearer"
    """How a secret travels: ``bearer``, or the name of the header that it stands in alone."""
    keeps_objects: ClassVar[bool] = True
    """Whether what it stores can be read back; otherwise its owner is told 501."""
    answers_in_events: ClassVar[bool] = False
    """Whether it may answer in events what was asked for whole, under whatever content type."""
    signs_in: ClassVar[bool] = False
    """Whether its credentials come from a person's sign-in, and not from a key."""

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

    def list_request(self, place: Place) -> tuple[str, dict[str, str]]:
        """Return URL and headers that ask an upstream for its models."""
        url = join(place.base_url, "/v1/models") + (f"?{place.policy.query}" if place.policy.query else "")
        return url, dict(self._credential(place.secret, place.policy.auth)) | place.policy.set_headers

    def listed(self, body: bytes) -> list[str]:
        """Return the model ids of a model list, sorted. Raises ``ValueError`` for anything else."""
        try:
            return sorted({entry["id"] for entry in json.loads(body)["data"] if isinstance(entry["id"], str)})
        except (ValueError, TypeError, KeyError):
            raise ValueError("the answer is not a list of models") from None

    def _credential(self, secret: str, auth: str = "") -> tuple[tuple[str, str], ...]:
        """Return the header that carries a secret."""
        auth = auth or self.auth
        if not secret or auth == "none":
            return ()
        return (("authorization", f"Bearer {secret}"),) if auth == "bearer" else ((auth, secret),)

    def _body(self, call: Call, target: Target) -> bytes | None:
        if call.body is None:
            return None
        body = shaped(call.body, call, target)
        forced = self._forced(call, body, target)
        return body.with_members(forced).body if forced else body.body

    def _forced(self, call: Call, body: Envelope, target: Target) -> dict[str, bytes]:
        """Return the members that Realms itself sets, whatever the caller or a policy says."""
        return {}

    def _object_body(self, call: Call) -> bytes | None:
        return None if call.body is None else call.body.body

    def _outgoing(self, call: Call, place: Place, body: bytes | None, *, object_id: str = "") -> Outgoing:
        query = query_of(call, place.policy) if place.policy.query else call.query
        url = _address(place.base_url, call.endpoint.path, object_id, call.item_id) + (f"?{query}" if query else "")
        headers = (*headers_of(call, place.policy), *self._credential(place.secret, place.policy.auth))
        if place.policy.set_headers:
            headers = (*headers, *((name.lower(), value) for name, value in place.policy.set_headers.items()))
        return Outgoing(call.endpoint.method, url, headers, body)


@lru_cache(maxsize=1024)
def _address(base_url: str, path: str, object_id: str, item_id: str) -> str:
    path = path.replace("<object_id>", quote(object_id, safe="")).replace("<item_id>", quote(item_id, safe=""))
    return join(base_url, path)


def join(base_url: str, path: str) -> str:
    """Return the address of an endpoint under a base URL that may or may not end in ``/v1`` itself."""
    return base_url + (path.removeprefix("/v1") if base_url.endswith("/v1") else path)
