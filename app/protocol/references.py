"""Finds the ids of stored objects that stand in a request's body, so that each goes through the ownership gate."""

from __future__ import annotations

from typing import Any

import msgspec

from app.protocol.call import Call
from app.protocol.endpoints import ObjectKind, Protocol
from app.protocol.envelope import Envelope
from app.protocol.errors import Problem, RelayError

ITEMS_MEMBERS = ("input", "items")


class Reference(msgspec.Struct, frozen=True):
    """An id that the caller sent, and the member it stood in."""

    kind: ObjectKind
    id: str
    param: str


class _Item(msgspec.Struct):
    id: Any = None
    type: Any = None
    role: Any = None


_items = msgspec.json.Decoder(list[_Item])


def references(call: Call) -> list[Reference]:
    """Return every reference to a stored object. Raises ``RelayError`` (400) for one that isn't a string."""
    body = call.body
    if body is None or call.endpoint.protocol is not Protocol.OPENAI or call.endpoint.name.startswith("chat."):
        return []
    found = []
    previous = body.text("previous_response_id")
    if previous is not None:
        found.append(Reference(ObjectKind.RESPONSE, previous, "previous_response_id"))
    conversation = _conversation(body)
    if conversation is not None:
        found.append(Reference(ObjectKind.CONVERSATION, conversation, "conversation"))
    for member in ITEMS_MEMBERS:
        found += [Reference(ObjectKind.ITEM, item, member) for item in _item_references(body, member)]
    return found


def _conversation(body: Envelope) -> str | None:
    value = body.get("conversation")
    if isinstance(value, dict):
        value = value.get("id")
    if value is None or isinstance(value, str):
        return value
    raise RelayError(Problem.INVALID_TYPE, "'conversation' must be a string or an object with an id.")


def _item_references(body: Envelope, member: str) -> list[str]:
    """Return the ids of item references in a list of items.

    A reference has an id and either the type ``item_reference`` or, as the API allows, no type at all; a message
    without a type has a role. Names can be written with escapes, so those count as a sign of an id too.
    """
    raw = body.raw(member)
    if raw is None or not raw.startswith(b"[") or not (b'"id"' in raw or b"\\u" in raw):
        return []
    found = []
    for item in _decoded(raw):
        if item.id is not None and (item.type == "item_reference" or (item.type is None and item.role is None)):
            if not isinstance(item.id, str):
                raise RelayError(Problem.INVALID_TYPE, f"an item's id in '{member}' must be a string.", param=member)
            found.append(item.id)
    return found


def _decoded(raw: bytes) -> list[_Item]:
    try:
        return _items.decode(raw)
    except msgspec.ValidationError:  # something in the list is no object: the others count all the same
        return [msgspec.convert(entry, _Item) for entry in msgspec.json.decode(raw) if isinstance(entry, dict)]
    except (msgspec.DecodeError, RecursionError):
        raise RelayError(Problem.INVALID_JSON, "The list of items is not valid JSON.") from None
