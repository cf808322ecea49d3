"""ENDPOINTS: one row for each relayed endpoint.

URL rules, authentication, ownership, error dialect, usage and the ownership test matrix all derive from these rows.
Sources: OpenAI API reference (Responses, Conversations, Chat Completions), Anthropic API reference (Messages).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Protocol(StrEnum):
    """Whose errors a caller understands."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Shape(StrEnum):
    """What the answer's events and usage look like."""

    RESPONSES = "responses"
    CHAT = "chat"
    MESSAGES = "messages"
    OTHER = "other"


class Kind(StrEnum):
    """What an endpoint does with stored objects."""

    CREATE = "create"
    """Chooses an upstream; may make an owned object."""
    TOOL = "tool"
    """Chooses an upstream; makes nothing, costs nothing."""
    OBJECT = "object"
    """Works on an owned object, where it lives."""
    LIST = "list"
    """Lists the caller's own objects, from the registry."""


class ObjectKind(StrEnum):
    """The kinds of owned objects, as they stand in the registry."""

    RESPONSE = "response"
    CHAT_COMPLETION = "chat.completion"
    CONVERSATION = "conversation"
    ITEM = "item"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One relayed endpoint.

    ``object`` is the kind of owned object that the path's ``<object_id>`` names or a create reveals. ``deletes`` tells
    that success ends the object's life, ``lists_items`` that a page shows ids of items that become the reader's.
    """

    name: str
    method: str
    path: str
    kind: Kind
    protocol: Protocol = Protocol.OPENAI
    shape: Shape = Shape.OTHER
    object: ObjectKind | None = None
    needs_model: bool = False
    deletes: bool = False
    lists_items: bool = False

    @property
    def metered(self) -> bool:
        """Whether each call leaves a request record."""
        return self.kind in {Kind.CREATE, Kind.TOOL} and self.needs_model

    @property
    def takes_body(self) -> bool:
        return self.method == "POST"


def _responses(name: str, method: str, path: str, **more: object) -> Endpoint:
    fields = {"kind": Kind.OBJECT, "object": ObjectKind.RESPONSE, "shape": Shape.RESPONSES} | more
    return Endpoint(name=f"responses.{name}", method=method, path=f"/v1/responses{path}", **fields)  # type: ignore[arg-type]


def _conversations(name: str, method: str, path: str, **more: object) -> Endpoint:
    fields = {"kind": Kind.OBJECT, "object": ObjectKind.CONVERSATION} | more
    return Endpoint(name=f"conversations.{name}", method=method, path=f"/v1/conversations{path}", **fields)  # type: ignore[arg-type]


def _chat(name: str, method: str, path: str, **more: object) -> Endpoint:
    fields = {"kind": Kind.OBJECT, "object": ObjectKind.CHAT_COMPLETION} | more
    return Endpoint(name=f"chat.{name}", method=method, path=f"/v1/chat/completions{path}", **fields)  # type: ignore[arg-type]


def _messages(name: str, path: str, **more: object) -> Endpoint:
    fields = {"protocol": Protocol.ANTHROPIC, "needs_model": True} | more
    return Endpoint(name=f"messages.{name}", method="POST", path=f"/v1/messages{path}", **fields)  # type: ignore[arg-type]


ENDPOINTS: tuple[Endpoint, ...] = (
    _responses("create", "POST", "", kind=Kind.CREATE, needs_model=True),
    _responses("compact", "POST", "/compact", kind=Kind.CREATE, needs_model=True, object=None),
    _responses("input_tokens", "POST", "/input_tokens", kind=Kind.TOOL, needs_model=True, object=None),
    _responses("retrieve", "GET", "/<object_id>"),
    _responses("delete", "DELETE", "/<object_id>", deletes=True),
    _responses("cancel", "POST", "/<object_id>/cancel"),
    _responses("input_items", "GET", "/<object_id>/input_items", lists_items=True),
    _conversations("create", "POST", "", kind=Kind.CREATE),
    _conversations("retrieve", "GET", "/<object_id>"),
    _conversations("update", "POST", "/<object_id>"),
    _conversations("delete", "DELETE", "/<object_id>", deletes=True),
    _conversations("items.list", "GET", "/<object_id>/items", lists_items=True),
    _conversations("items.create", "POST", "/<object_id>/items", lists_items=True),
    _conversations("items.retrieve", "GET", "/<object_id>/items/<item_id>"),
    _conversations("items.delete", "DELETE", "/<object_id>/items/<item_id>"),
    _chat("create", "POST", "", kind=Kind.CREATE, shape=Shape.CHAT, needs_model=True),
    _chat("list", "GET", "", kind=Kind.LIST),
    _chat("retrieve", "GET", "/<object_id>"),
    _chat("update", "POST", "/<object_id>"),
    _chat("delete", "DELETE", "/<object_id>", deletes=True),
    _chat("messages", "GET", "/<object_id>/messages"),
    _messages("create", "", kind=Kind.CREATE, shape=Shape.MESSAGES),
    _messages("count_tokens", "/count_tokens", kind=Kind.TOOL),
)

BY_NAME: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in ENDPOINTS}
