"""The port of every kind of upstream: how a call is put, and what an answer's status means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec

from app.protocol.call import Call, Owned, Place, Target
from app.protocol.endpoints import Endpoint, Kind
from app.protocol.errors import Problem, RelayError

RETRY_AFTER_MAX = 86_400


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

    def prepare(self, call: Call, target: Target) -> Outgoing:
        """Return the request of a create or tool call at a target."""
        return self._outgoing(call, target.place, self._body(call, target))

    def prepare_object(self, call: Call, owned: Owned) -> Outgoing:
        """Return the request of a call on a stored object; its address comes from the registry alone."""
        return self._outgoing(call, owned.place, self._object_body(call), object_id=owned.object_id)

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


def judge(status: int, headers: Mapping[str, str], body: bytes, *, endpoint: Endpoint) -> RelayError | None:
    """Return our own error for an answer that must not reach the client as it is; None passes it through.

    What concerns the caller's request passes with the provider's own words. What concerns our account never does:
    an upstream's 401 names our key and would tell callers that theirs is bad.
    """
    if status < 300:
        return None
    if status < 400:
        return RelayError(Problem.UPSTREAM, "The upstream answered with a redirect, which is never followed.")
    if status in {401, 402, 403, 407}:
        return RelayError(Problem.UPSTREAM, "The upstream refused Realms' own credential. Tell your administrator.")
    if status == 429:
        return _throttled(headers, body)
    if status in {408, 504}:
        return RelayError(Problem.TIMEOUT, "The upstream took too long to answer.")
    if status in {404, 405, 501} and endpoint.kind is not Kind.OBJECT and _lacks_endpoint(body):
        return RelayError(Problem.UNSUPPORTED, "No upstream that serves this model offers this endpoint.")
    if status in {503, 529}:
        message = "The upstream is overloaded; try again later."
        return RelayError(Problem.OVERLOADED, message, retry_after=retry_after(headers))
    if status >= 500:
        return RelayError(Problem.UPSTREAM, f"The upstream failed (status {status}).", retry_after=retry_after(headers))
    return None


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Return the upstream's own wish in whole seconds, where it gives one as a number."""
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds <= RETRY_AFTER_MAX:
            return max(1, -int(-seconds // 1))
    return None


def _throttled(headers: Mapping[str, str], body: bytes) -> RelayError:
    if _error_code(body) in {"insufficient_quota", "billing_hard_limit_reached", "usage_limit_reached"}:
        return RelayError(Problem.OVERLOADED, "The upstream account is used up. Tell your administrator.")
    message = "The upstream limits the rate of requests; try again later."
    return RelayError(Problem.RATE_LIMITED, message, retry_after=retry_after(headers) or 1)


def _error_of(body: bytes) -> Any:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return told.get("error") if isinstance(told, dict) else None


def _lacks_endpoint(body: bytes) -> bool:
    """Whether a 404 is about the path, not about what was asked for there: no error object, or one that says so."""
    return not isinstance(_error_of(body), dict) or _error_code(body) in {"404", "405", "501", "unknown_url"}


def _error_code(body: bytes) -> str:
    error = _error_of(body)
    return str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
