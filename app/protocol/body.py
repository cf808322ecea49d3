"""Reads what a whole JSON answer reveals: ids, usage, and the model's name."""

from __future__ import annotations

from typing import Any

import msgspec

from app.protocol.call import Call
from app.protocol.endpoints import ObjectKind, Shape
from app.protocol.ids import is_revealed_id

TERMINAL = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""The states of a response that nothing follows."""

Revealed = list[tuple[ObjectKind, str]]


class Told(msgspec.Struct):
    """The members of an answer that the relay looks at."""

    id: Any = None
    status: Any = None
    output: Any = None
    data: Any = None
    usage: Any = None
    model: Any = None


class _Identified(msgspec.Struct):
    id: Any = None


_told = msgspec.json.Decoder(Told)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read(body: bytes) -> Told | None:
    """Return what an answer tells, or None for what isn't a JSON object."""
    try:
        return _told.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return None


def revealed(call: Call, told: Told) -> Revealed:
    """Return the ids in an answer that must be owned before it is shown."""
    endpoint, found = call.endpoint, []
    makes_object = endpoint.object is not None and call.stores and not endpoint.lists_items
    if makes_object and endpoint.object and is_revealed_id(told.id):
        found.append((endpoint.object, str(told.id)))
    if endpoint.lists_items:
        found += _items(told.data)
    if endpoint.shape is Shape.RESPONSES and endpoint.object is ObjectKind.RESPONSE and call.stores:
        found += _items(told.output)
    return found


def with_model(body: bytes, model: str) -> bytes:
    """Return a JSON object with ``model`` in place of the upstream's own name for it, also one level down."""
    members = _members.decode(body)
    name = msgspec.Raw(msgspec.json.encode(model))
    for inner in ("response", "message"):
        if inner in members and bytes(members[inner]).startswith(b"{"):
            members[inner] = msgspec.Raw(with_model(bytes(members[inner]), model))
    if "model" in members:
        members["model"] = name
    return msgspec.json.encode(members)


def _items(entries: Any) -> Revealed:
    if not isinstance(entries, list):
        return []
    ids = (entry.get("id") for entry in entries if isinstance(entry, dict))
    return [(ObjectKind.ITEM, str(item)) for item in ids if is_revealed_id(item)]
