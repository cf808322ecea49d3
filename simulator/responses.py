"""The Responses API: create, compact, count."""

import time
from typing import TYPE_CHECKING, Any

import msgspec

from simulator import conversations
from simulator.answer import Answer, json_answer, stream_answer
from simulator.call import Call, missing
from simulator.errors import ApiError, by_status, openai_object
from simulator.response_events import sequence
from simulator.response_items import (
    check_items,
    compaction,
    input_items,
    last_words,
    output_items,
)
from simulator.script import Said, speak
from simulator.store import StoredResponse, mint, now
from simulator.usage import count, responses_usage

if TYPE_CHECKING:
    from simulator.call import Endpoint

ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def create(call: Call) -> Answer:
    check(call)
    background = call.body.get("background") is True
    said = say(call)
    ident = mint("resp_", call.plan.ident)
    response = opened(call, ident, background=background)
    opening = msgspec.json.encode(response)
    output = output_items(call, said, ident)
    usage = used(call, said)
    finished(response, output, usage, call)
    final = msgspec.json.encode(response)
    stored = StoredResponse(ident, call.request.body, opening, final, call.options)
    if background:
        stored.due = time.monotonic() + call.options.background
    if call.body.get("store") is not False or background:
        call.world.store.keep(call.account, stored)
    if call.body.get("conversation") is not None:
        conversations.extend(call, input_items(call.body, ident) + output)
    if call.streams():
        events = sequence(opening, final, output, call.options, queued=background)
        return stream_answer(events, object_id=ident, usage=usage)
    return Answer(body=opening if background else final, object_id=ident, usage=usage)


def check(call: Call) -> None:
    """What must be the caller's own, and what must be there."""
    body = call.body
    call.model()
    if body.get("input") is None and body.get("prompt") is None and body.get("conversation") is None:
        raise missing("input")
    previous = body.get("previous_response_id")
    if previous is not None and previous not in call.account.responses:
        raise ApiError(
            400,
            f"Previous response with id '{previous}' not found.",
            code="previous_response_not_found",
            param="previous_response_id",
        )
    if body.get("conversation") is not None:
        conversations.named(call)
    check_items(call)


def say(call: Call) -> Said:
    question, tool_outputs = last_words(call.body)
    base = call.model().partition("+")[0]
    return speak(call.options, question, tool_outputs, think="think" in base)


def used(call: Call, said: Said) -> dict[str, Any] | None:
    tokens = count(call.options, call.request.body, said)
    return call.reported(responses_usage(tokens))


def opened(call: Call, ident: str, *, background: bool) -> dict[str, Any]:
    """The response as the first event shows it."""
    body = call.body
    echoed = {name: body.get(name, default) for name, default in ECHOED.items()}
    conversation = body.get("conversation")
    if isinstance(conversation, str):
        conversation = {"id": conversation}
    return {
        "id": ident,
        "object": "response",
        "created_at": now(),
        "status": "queued" if background else "in_progress",
        "background": background,
        "completed_at": None,
        "conversation": conversation,
        "error": None,
        "incomplete_details": None,
        "model": body["model"],
        "output": [],
        **echoed,
        "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
        "store": body.get("store") is not False,
        "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
        "usage": None,
        "metadata": call.metadata(),
    }


def finished(response: dict[str, Any], output: list[dict[str, Any]], usage: dict[str, Any] | None, call: Call) -> None:
    end = call.options.end
    response["status"] = end
    response["output"] = output
    response["usage"] = usage
    response["completed_at"] = now() if end == "completed" else None
    if end == "incomplete":
        response["incomplete_details"] = {"reason": "max_output_tokens"}
    if end == "failed":
        error = openai_object(by_status(500, code=call.options.code or "server_error"))
        response["error"] = {"code": error["code"], "message": error["message"]}


def compact(call: Call) -> Answer:
    call.model()
    check(call)
    ident = mint("resp_", call.plan.ident)
    usage = used(call, Said("compacted", "", []))
    kept = [item for item in input_items(call.body, ident) if item.get("role") == "user"]
    value = {
        "id": ident,
        "object": "response.compaction",
        "created_at": now(),
        "output": [*kept, compaction(call.account, ident)],
        "usage": usage,
    }
    answer = json_answer(value, object_id=ident)
    answer.usage = usage
    return answer


def input_tokens(call: Call) -> Answer:
    check(call)
    tokens = count(call.options, call.request.body)
    return json_answer({"object": "response.input_tokens", "input_tokens": tokens.read})


ROUTES: "dict[str, Endpoint]" = {
    "POST responses": create,
    "POST responses/compact": compact,
    "POST responses/input_tokens": input_tokens,
}
