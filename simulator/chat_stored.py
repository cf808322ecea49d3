"""Stored chat completions: listed, read, given other metadata, deleted."""

from typing import TYPE_CHECKING, Any

from simulator.answer import Answer, json_answer
from simulator.call import Call, missing
from simulator.errors import ApiError
from simulator.paging import page
from simulator.store import StoredChat

if TYPE_CHECKING:
    from simulator.call import Endpoint


def find(call: Call) -> StoredChat:
    ident = call.segments[0]
    stored = call.account.chats.get(ident)
    if stored is None:
        raise ApiError(404, f"Chat completion with id '{ident}' not found.")
    return stored


def _matches(completion: dict[str, Any], query: dict[str, str]) -> bool:
    """Whether it has the asked model and all of the asked `metadata[key]=value`."""
    if "model" in query and completion["model"] != query["model"]:
        return False
    wanted = {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[")}
    return all(completion["metadata"].get(name) == value for name, value in wanted.items())


def list_all(call: Call) -> Answer:
    query = call.query()
    found = [chat.completion for chat in call.account.chats.values() if _matches(chat.completion, query)]
    return json_answer(page(found, query, order="asc"))


def retrieve(call: Call) -> Answer:
    stored = find(call)
    return json_answer(stored.completion, object_id=stored.id)


def update(call: Call) -> Answer:
    stored = find(call)
    if "metadata" not in call.body:
        raise missing("metadata")
    stored.completion["metadata"] = call.metadata()
    return json_answer(stored.completion, object_id=stored.id)


def delete(call: Call) -> Answer:
    stored = find(call)
    del call.account.chats[stored.id]
    value = {"object": "chat.completion.deleted", "id": stored.id, "deleted": True}
    return json_answer(value, object_id=stored.id)


def messages(call: Call) -> Answer:
    stored = find(call)
    shown = []
    for number, message in enumerate(stored.asked["messages"]):
        parts = message.get("content") if isinstance(message.get("content"), list) else None
        text = None if parts is not None else message.get("content")
        shown.append({**message, "id": f"{stored.id}-{number}", "content": text, "content_parts": parts})
    return json_answer(page(shown, call.query(), order="asc"))


ROUTES: "dict[str, Endpoint]" = {
    "GET chat/completions": list_all,
    "GET chat/completions/*": retrieve,
    "POST chat/completions/*": update,
    "DELETE chat/completions/*": delete,
    "GET chat/completions/*/messages": messages,
}
