"""Chat Completions: create, streamed or not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.answer import Answer, Event, json_answer, stream_answer
from simulator.call import Call, missing, text_of
from simulator.errors import by_status, openai_object
from simulator.script import Said, deltas, speak, words
from simulator.store import StoredChat, mint, now, stem
from simulator.usage import chat_usage, count

if TYPE_CHECKING:
    from simulator.call import Endpoint

encode = msgspec.json.encode
DONE = Event(b"", b"[DONE]")


def create(call: Call) -> Answer:
    body = call.body
    model = call.model()
    if not isinstance(body.get("messages"), list):
        raise missing("messages")
    metadata = call.metadata()
    said = say(call)
    ident = mint("chatcmpl-", call.plan.ident)
    choices = body["n"] if isinstance(body.get("n"), int) else 1
    usage = used(call, said, choices)
    completion: dict[str, Any] = {
        "id": ident,
        "object": "chat.completion",
        "created": now(),
        "model": model,
        "choices": [_choice(call, said, ident, index) for index in range(choices)],
        "service_tier": "default",
        "system_fingerprint": "fp_sim",
    }
    if usage is not None:
        completion["usage"] = usage
    if body.get("store") is True:
        call.world.store.keep(call.account, StoredChat(ident, body, completion | {"metadata": metadata}))
    if call.streams():
        return stream_answer(chunks(call, said, completion), object_id=ident, usage=usage)
    answer = json_answer(completion, object_id=ident)
    answer.usage = usage
    return answer


def say(call: Call) -> Said:
    messages = [message for message in call.body["messages"] if isinstance(message, dict)]
    outputs: list[str] = []
    question = ""
    for n, message in enumerate(messages):
        if message.get("role") == "user":
            question, outputs = text_of(message.get("content")), []
        elif message.get("role") == "tool":
            again = messages[n - 1].get("role") == "tool"  # the same round
            outputs[-1 if again else len(outputs) :] = [text_of(message.get("content"))]
    return speak(call.options, question, outputs, think="think" in call.model().partition("+")[0])


def used(call: Call, said: Said, choices: int) -> dict[str, Any] | None:
    tokens = count(call.options, call.request.body, said, choices=choices)
    return call.reported(chat_usage(tokens))


def _finish(call: Call, said: Said) -> str:
    if call.options.end == "incomplete":
        return "length"
    return "tool_calls" if said.tools else "stop"


def _tool_calls(said: Said, ident: str, index: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{stem(ident)[-20:]}{index}{number}",
            "type": "function",
            "function": {"name": tool.name, "arguments": tool.arguments},
        }
        for number, tool in enumerate(said.tools)
    ]


def _choice(call: Call, said: Said, ident: str, index: int) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if said.tools else said.text,
        "refusal": None,
        "annotations": [],
    }
    if said.tools:
        message["tool_calls"] = _tool_calls(said, ident, index)
    return {"index": index, "message": message, "logprobs": None, "finish_reason": _finish(call, said)}


def chunks(call: Call, said: Said, completion: dict[str, Any]) -> Iterator[Event]:
    asked = call.body.get("stream_options")
    counted = isinstance(asked, dict) and asked.get("include_usage") is True
    head = {name: completion[name] for name in ("id", "created", "model", "service_tier", "system_fingerprint")}
    start = encode({"object": "chat.completion.chunk"} | head)[:-1]
    tail = b',"usage":null}' if counted else b"}"
    indexes = range(len(completion["choices"]))
    for index in indexes:
        yield _chunk(start, tail, index, {"role": "assistant", "content": "", "refusal": None})
    for piece in deltas(said.text, call.options):
        for index in indexes:
            yield _chunk(start, tail, index, {"content": piece})
    for index in indexes:
        for number, tool_call in enumerate(_tool_calls(said, completion["id"], index)):
            for delta in _tool_deltas(number, tool_call):
                yield _chunk(start, tail, index, {"tool_calls": [delta]})
    if call.options.end == "failed":
        yield Event(b"", encode({"error": openai_object(by_status(500))}))
        return
    for index in indexes:
        yield _chunk(start, tail, index, {}, _finish(call, said))
    if counted and "usage" in completion:
        yield Event(b"", b'%b,"choices":[],"usage":%b}' % (start, encode(completion["usage"])))
    yield DONE


def _chunk(start: bytes, tail: bytes, index: int, delta: dict[str, Any], finish: str | None = None) -> Event:
    choice = b'{"index":%d,"delta":%b,"logprobs":null,"finish_reason":%b}' % (index, encode(delta), encode(finish))
    return Event(b"", b'%b,"choices":[%b]%b' % (start, choice, tail))


def _tool_deltas(number: int, tool_call: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The call's name first, then its arguments piece by piece."""
    function = tool_call["function"]
    yield {"index": number} | tool_call | {"function": {"name": function["name"], "arguments": ""}}
    for piece in words(function["arguments"]):
        yield {"index": number, "function": {"arguments": piece}}


ROUTES: "dict[str, Endpoint]" = {"POST chat/completions": create}
