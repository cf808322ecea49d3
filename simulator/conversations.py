"""Conversations and their items."""

from typing import TYPE_CHECKING, Any

from simulator.answer import Answer, json_answer
from simulator.call import Call
from simulator.errors import ApiError
from simulator.paging import page
from simulator.response_items import input_items
from simulator.store import StoredConversation, mint, now

if TYPE_CHECKING:
    from simulator.call import Endpoint


def named(call: Call) -> StoredConversation:
    """The conversation that a response's body names."""
    value = call.body["conversation"]
    return _get(call, value if isinstance(value, str) else str(value.get("id")))


def _get(call: Call, ident: str) -> StoredConversation:
    found = call.account.conversations.get(ident)
    if found is None:
        raise ApiError(404, f"Conversation with id '{ident}' not found.")
    return found


def extend(call: Call, items: list[dict[str, Any]]) -> None:
    named(call).items.update({item["id"]: item for item in items})


def create(call: Call) -> Answer:
    ident = mint("conv_", call.plan.ident)
    items = input_items({"input": call.body.get("items")}, mint("new_", None))
    made = StoredConversation(ident, now(), call.metadata(), {item["id"]: item for item in items})
    call.account.conversations[ident] = made
    return json_answer(made.shown(), object_id=ident)


def retrieve(call: Call) -> Answer:
    return json_answer(_get(call, call.segments[0]).shown())


def update(call: Call) -> Answer:
    found = _get(call, call.segments[0])
    found.metadata = call.metadata()
    return json_answer(found.shown())


def delete(call: Call) -> Answer:
    found = _get(call, call.segments[0])
    del call.account.conversations[found.id]
    return json_answer({"id": found.id, "object": "conversation.deleted", "deleted": True})


def list_items(call: Call) -> Answer:
    found = _get(call, call.segments[0])
    return json_answer(page(list(found.items.values()), call.query()))


def add_items(call: Call) -> Answer:
    found = _get(call, call.segments[0])
    items = input_items({"input": call.body.get("items")}, mint("new_", None))
    found.items.update({item["id"]: item for item in items})
    return json_answer(page(items, {"limit": "100"}, order="asc"))


def _item(call: Call) -> tuple[StoredConversation, dict[str, Any]]:
    found = _get(call, call.segments[0])
    item = found.items.get(call.segments[2])
    if item is None:
        raise ApiError(404, f"Conversation item with id '{call.segments[2]}' not found.")
    return found, item


def retrieve_item(call: Call) -> Answer:
    return json_answer(_item(call)[1])


def delete_item(call: Call) -> Answer:
    found, item = _item(call)
    del found.items[item["id"]]
    return json_answer(found.shown())


ROUTES: "dict[str, Endpoint]" = {
    "POST conversations": create,
    "GET conversations/*": retrieve,
    "POST conversations/*": update,
    "DELETE conversations/*": delete,
    "GET conversations/*/items": list_items,
    "POST conversations/*/items": add_items,
    "GET conversations/*/items/*": retrieve_item,
    "DELETE conversations/*/items/*": delete_item,
}
