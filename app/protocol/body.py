"""Reads what a whole JSON answer reveals: ids, usage, and the model's name."""

from __future__ import annotations

from typing import Any

import msgspec

from app.protocol.call import Call
from app.protocol.endpoints import Kind, ObjectKind, Shape
from app.protocol.ids import is_revealed_id

PENDING = ("queued", "in_progress")
TERMINAL = ("completed", "incomplete", "failed", "cancelled")
"""The states of a response that goes on, and of one that has ended. No sets: an upstream's status may be anything."""

Revealed = list[tuple[ObjectKind, str]]


class Told(msgspec.Struct):
    """The members of an answer that the relay looks at."""

    id: Any = None
    status: Any = None
    background: Any = None
    output: Any = None
    data: Any = None
    usage: Any = None
    service_tier: Any = None
    model: Any = None
    error: Any = None


_told = msgspec.json.Decoder(Told)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read(body: bytes) -> Told | None:
    """Return what an answer tells, or None for what isn't a JSON object."""
    try:
        return _told.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def revealed(call: Call, told: Told) -> Revealed:
    """Return the ids in an answer that must be owned before it is shown."""
    endpoint = call.endpoint
    if endpoint.lists_items:
        return items(told.data)
    if not call.stores or (endpoint.kind is not Kind.CREATE and told.background is not True):
        return []
    found: Revealed = []
    if endpoint.object is not None and is_revealed_id(told.id):
        found.append((endpoint.object, str(told.id)))
    if endpoint.shape is Shape.RESPONSES:
        found += items(told.output)  # of a background response, only its owner's reading shows them
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


def items(entries: Any) -> Revealed:
    """Return the ids in a list of items, of which an upstream may have made anything."""
    if not isinstance(entries, list):
        return []
    ids = (entry.get("id") for entry in entries if isinstance(entry, dict))
    return [(ObjectKind.ITEM, str(item)) for item in ids if is_revealed_id(item)]
