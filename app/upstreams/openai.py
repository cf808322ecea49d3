"""OpenAI and every server that speaks its API."""

from __future__ import annotations

import msgspec

from app.protocol.call import Call, Target
from app.protocol.endpoints import ENDPOINTS, Protocol
from app.protocol.envelope import Envelope
from app.protocol.errors import Problem, RelayError
from app.upstreams.base import Adapter

OWNER_MEMBER = "realms_owner"
METADATA_MAX = 16
"""Keys that OpenAI allows in one object's metadata."""


class OpenAI(Adapter):
    """Bearer keys, every OpenAI endpoint."""

    kind = "openai"
    label = "OpenAI-compatible"
    default_base_url = "https://api.openai.com/v1"
    served = frozenset(endpoint.name for endpoint in ENDPOINTS if endpoint.protocol is Protocol.OPENAI)

    def hides_usage(self, call: Call) -> bool:
        return call.endpoint.name == "chat.create" and call.body is not None and _hides_usage(call, call.body)

    def added(self, call: Call, target: Target) -> tuple[str, ...]:
        if call.endpoint.name != "chat.create" or call.body is None:
            return ()
        changes, own = _chat_changes(call, call.body, _unwanted(target)), call.body
        return tuple(name for name in changes if own.raw(name) in (None, b"null"))

    def _forced(self, call: Call, body: Envelope, target: Target) -> dict[str, bytes]:
        if call.endpoint.name != "chat.create" or not (call.stores or call.stream):
            return {}
        return _chat_changes(call, body, _unwanted(target))

    def _object_body(self, call: Call) -> bytes | None:
        if call.body is not None and call.endpoint.name == "chat.update" and "metadata" in call.body:
            marked = _marked_metadata(call.body, call.caller.owner_mark)
            return call.body.with_members(marked).body if marked else call.body.body
        return super()._object_body(call)


def _unwanted(target: Target) -> frozenset[str]:
    """Return the members that aren't to be added at a target: as its policy says, and as its answers have taught."""
    policy = target.place.policy
    told = {"metadata": policy.metadata and policy.store, "stream_options": policy.stream_options}
    return target.without | {name for name, wanted in told.items() if not wanted}


def _chat_changes(call: Call, body: Envelope, without: frozenset[str]) -> dict[str, bytes]:
    marks = call.stores and "metadata" not in without
    changes = _marked_metadata(body, call.caller.owner_mark) if marks else {}
    if "stream_options" not in without and _hides_usage(call, body):
        options = body.get("stream_options") or {}
        changes["stream_options"] = msgspec.json.encode(options | {"include_usage": True})
    return changes


def _hides_usage(call: Call, body: Envelope) -> bool:
    options = body.get("stream_options")
    wellformed = options is None or isinstance(options, dict)
    return call.stream and wellformed and not (options or {}).get("include_usage")


def _marked_metadata(body: Envelope, owner_mark: str) -> dict[str, bytes]:
    """Return the metadata with the owner's mark forced in; nothing where the caller's own keys leave no room."""
    raw = body.raw("metadata") or b"null"
    try:
        metadata = msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | None) or {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RelayError(Problem.INVALID_TYPE, "'metadata' must be an object.", param="metadata") from None
    metadata.pop(OWNER_MEMBER, None)
    if len(metadata) >= METADATA_MAX:
        return {}
    metadata[OWNER_MEMBER] = msgspec.Raw(msgspec.json.encode(owner_mark))
    return {"metadata": msgspec.json.encode(metadata)}
