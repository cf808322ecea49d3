"""Stored objects of every kind: how each is made, named in a path, and what else a call on one needs."""

from __future__ import annotations

import json
from typing import Any

from app.protocol.endpoints import ENDPOINTS, Endpoint, ObjectKind
from tests.live import Answer, House, Provider

TAKES_ID = [endpoint for endpoint in ENDPOINTS if "<object_id>" in endpoint.path]
UNKNOWN = {
    ObjectKind.RESPONSE: "resp_nobody000000000000000000000000000000000000000000",
    ObjectKind.CHAT_COMPLETION: "chatcmpl-nobody0000000000000000000000000000000000000",
    ObjectKind.CONVERSATION: "conv_nobody0000000000000000000000000000000000000000000",
    ObjectKind.ITEM: "msg_nobody00000000000000000000000000000000000000000000",
}
BODIES: dict[str, Any] = {
    "conversations.update": {"metadata": {"topic": "x"}},
    "conversations.items.create": {"items": [{"type": "message", "role": "user", "content": "more"}]},
    "chat.update": {"metadata": {"topic": "x"}},
}
"""What the POSTs on an object have to send; those not named send nothing."""
VARIABLE = {"date", "x-request-id", "request-id", "content-length"}


class Witness:
    """Tells what reached the provider since it was last asked."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._last = provider.count()

    def new(self) -> list[dict[str, Any]]:
        found = self._provider.requests(self._last)
        if found:
            self._last = found[-1]["n"]
        return found


def make(house: House, kind: ObjectKind, *, who: str = "alice", model: str = "sim-1", **more: Any) -> str:
    """Make an object of a kind and return its id; an item is the first of a response's output."""
    if kind is ObjectKind.CONVERSATION:
        answer = house.post("/v1/conversations", {"metadata": {}} | more, who=who)
    elif kind is ObjectKind.CHAT_COMPLETION:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "store": True}
        answer = house.post("/v1/chat/completions", body | more, who=who)
    else:
        answer = house.post("/v1/responses", {"model": model, "input": "hi"} | more, who=who)
    assert answer.status == 200, answer.body
    made = answer.json()
    return str(made["output"][0]["id"] if kind is ObjectKind.ITEM else made["id"])


def make_with_item(house: House, *, who: str = "alice") -> tuple[str, str]:
    """Make a conversation with one item; return both ids."""
    conversation = make(house, ObjectKind.CONVERSATION, who=who)
    added = house.post(f"/v1/conversations/{conversation}/items", BODIES["conversations.items.create"], who=who)
    return conversation, added.json()["data"][0]["id"]


def path_of(endpoint: Endpoint, object_id: str, item_id: str = "") -> str:
    return endpoint.path.replace("<object_id>", object_id).replace("<item_id>", item_id)


def call(house: House, endpoint: Endpoint, object_id: str, *, item_id: str = "", who: str = "alice") -> Answer:
    """Make a call on an object; ids stand in the path as they are."""
    body = BODIES.get(endpoint.name)
    return house.ask(endpoint.method, path_of(endpoint, object_id, item_id), who=who, body=body)


def told(answer: Answer, *ids: str) -> tuple[int, dict[str, str], bytes]:
    """What an answer tells, without the ids that were asked for and what differs between any two answers."""
    body = answer.body
    for object_id in ids:
        shown = json.dumps(object_id, ensure_ascii=False)[1:-1].encode()
        body = body.replace(shown, b"ID")
    return answer.status, {name: value for name, value in answer.headers.items() if name not in VARIABLE}, body
