"""Stored responses: read, replayed, listed, cancelled, deleted."""

import time
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.answer import Answer, json_answer, stream_answer
from simulator.call import Call
from simulator.errors import ApiError
from simulator.paging import page
from simulator.response_events import sequence
from simulator.response_items import input_items
from simulator.store import StoredResponse

if TYPE_CHECKING:
    from simulator.call import Endpoint


def find(call: Call) -> StoredResponse:
    ident = call.segments[0]
    stored = call.account.responses.get(ident)
    if stored is None:
        raise ApiError(404, f"Response with id '{ident}' not found.")
    return stored


def current(stored: StoredResponse) -> bytes:
    """The response as it is now; a background one passes through queued and in_progress."""
    if stored.cancelled:
        return stored.opening.replace(b'"status":"queued"', b'"status":"cancelled"', 1)
    left = 0.0 if stored.due is None else stored.due - time.monotonic()
    if left <= 0:
        return stored.final
    if left > stored.options.background * 2 / 3:
        return stored.opening
    return stored.opening.replace(b'"status":"queued"', b'"status":"in_progress"', 1)


def retrieve(call: Call) -> Answer:
    stored = find(call)
    query = call.query()
    stream = query.get("stream") == "true" if call.plan.stream is None else call.plan.stream
    if not stream:
        return Answer(body=current(stored), object_id=stored.id)
    final: dict[str, Any] = msgspec.json.decode(stored.final)
    queued = stored.due is not None
    events = sequence(stored.opening, stored.final, final["output"], stored.options, queued=queued)
    after = int(query.get("starting_after") or -1)
    for _ in range(after + 1):
        next(events, None)
    return stream_answer(events, object_id=stored.id, usage=final["usage"])


def delete(call: Call) -> Answer:
    stored = find(call)
    call.account.drop_response(stored.id)
    return json_answer({"id": stored.id, "object": "response", "deleted": True}, object_id=stored.id)


def cancel(call: Call) -> Answer:
    stored = find(call)
    if stored.due is None:
        raise ApiError(400, "Cannot cancel a synchronous response.")
    if time.monotonic() < stored.due:
        stored.cancelled = True
    return Answer(body=current(stored), object_id=stored.id)


def list_input(call: Call) -> Answer:
    stored = find(call)
    return json_answer(page(input_items(msgspec.json.decode(stored.asked), stored.id), call.query()))


ROUTES: "dict[str, Endpoint]" = {
    "GET responses/*": retrieve,
    "DELETE responses/*": delete,
    "POST responses/*/cancel": cancel,
    "GET responses/*/input_items": list_input,
}
