"""Finds the ids of stored objects that stand in a request's body, so that each goes through the ownership gate."""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec

from app.protocol.call import Call
from app.protocol.endpoints import ObjectKind, Protocol
from app.protocol.envelope import Envelope, parse
from app.protocol.errors import Problem, RelayError
from app.protocol.search import holds

ITEMS_MEMBERS = ("input", "items")
ITEMS_MAX = 50_000
"""Many times more than any conversation has; each one with an id costs a look, during which all other calls wait."""
IMAGE = "image_generation_call"
"""Without its data an image that an earlier answer made (OpenAI's guide to image generation, "Multi-turn editing")."""
CURSORS = frozenset({"after", "before"})


class Reference(msgspec.Struct, frozen=True):
    """An id that the caller sent, and the member it stood in."""

    kind: ObjectKind
    id: str
    param: str


_items = msgspec.json.Decoder(list[msgspec.Raw])


def references(call: Call) -> list[Reference]:
    """Return every reference to a stored object, once. Raises ``RelayError`` (400) for one that isn't a string."""
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
    return list(dict.fromkeys(found))


def _conversation(body: Envelope) -> str | None:
    raw = body.raw("conversation")
    if raw is not None and raw.startswith(b"{"):
        return parse(raw).text("id")
    return body.text("conversation")


def _item_references(body: Envelope, member: str) -> list[str]:
    """Return the ids of item references in a list of items.

    A reference has an id and either the type ``item_reference`` or, as the API allows, no type at all; a message
    without a type has a role. Names can be written with escapes, so those count as a sign of an id too.
    """
    raw = body.raw(member)
    if raw is None or not raw.startswith(b"[") or not _may_hold_id(raw):
        return []
    try:
        items = _items.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RelayError(Problem.INVALID_JSON, "The list of items is not valid JSON.") from None
    if len(items) > ITEMS_MAX:
        raise RelayError(Problem.INVALID_VALUE, f"'{member}' may hold {ITEMS_MAX} items at most.", param=member)
    told = (item for item in map(bytes, items) if item.startswith(b"{") and _may_hold_id(item))
    return [found for item in told for found in _referred(item, member)]


def cursors(call: Call) -> list[Reference]:
    """Return the items that a page's query names as its edges."""
    if not call.endpoint.lists_items or not call.query:
        return []
    return [Reference(ObjectKind.ITEM, value, name) for name, value in parse_qsl(call.query) if name in CURSORS]


def _may_hold_id(raw: bytes) -> bool:
    return holds(raw, b'"id"') or holds(raw, b"\\u")


def _referred(raw: bytes, member: str) -> list[str]:
    """Return the id that one item refers to, if it does; read as strictly as a body, so that no two readers differ."""
    item = parse(raw)
    object_id = item.get("id")
    if object_id is None or not _is_reference(item):
        return []
    if not isinstance(object_id, str):
        raise RelayError(Problem.INVALID_TYPE, f"an item's id in '{member}' must be a string.", param=member)
    return [object_id]


def _is_reference(item: Envelope) -> bool:
    """Whether an item with an id stands for one that is kept upstream, and has no content of its own."""
    kind = item.get("type")
    if kind == IMAGE:
        return item.raw("result") in {None, b"null"}
    return kind == "item_reference" or (kind is None and item.get("role") is None)
