"""Anthropic Messages: create, streamed or not, and count_tokens."""

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.answer import ANTHROPIC, SSE, Answer, Event
from simulator.call import Call, text_of
from simulator.errors import MESSAGES, ApiError, by_status, error_event
from simulator.script import Said, deltas, speak, words
from simulator.store import mint
from simulator.usage import count, messages_usage

if TYPE_CHECKING:
    from simulator.call import Endpoint

encode = msgspec.json.encode


def create(call: Call) -> Answer:
    check(call, "model", "messages", "max_tokens")
    said = say(call)
    ident = mint("msg_", call.plan.ident)
    usage = used(call, said)
    message: dict[str, Any] = {
        "id": ident,
        "type": "message",
        "role": "assistant",
        "model": call.body["model"],
        "content": blocks(said),
        "stop_reason": _stop(call, said),
        "stop_sequence": None,
    }
    if usage is not None:
        message["usage"] = usage
    answer = Answer(brand=ANTHROPIC, object_id=ident, usage=usage)
    if call.streams():
        answer.events = events(call, message)
        answer.content_type = SSE
    else:
        answer.body = encode(message)
    return answer


def count_tokens(call: Call) -> Answer:
    check(call, "model", "messages")
    tokens = count(call.options, call.request.body)
    return Answer(body=encode({"input_tokens": tokens.read}), brand=ANTHROPIC)


def check(call: Call, *required: str) -> None:
    if call.request.header("anthropic-version") is None:
        raise ApiError(400, "anthropic-version: header is required")
    for name in required:
        if call.body.get(name) is None:
            raise ApiError(400, f"{name}: Field required")


def say(call: Call) -> Said:
    users = [message for message in call.body["messages"] if message.get("role") == "user"]
    content = users[-1].get("content") if users else ""
    results = (
        [part for part in content if isinstance(part, dict) and part.get("type") == "tool_result"]
        if isinstance(content, list)
        else []
    )
    tool_output = text_of(results[-1].get("content")) if results else None
    thinking = call.body.get("thinking")
    enabled = isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")
    question = text_of(content[-1:] if isinstance(content, list) else content)
    think = enabled or "think" in call.model().partition("+")[0]
    return speak(call.options, question, tool_output, think=think)


def used(call: Call, said: Said) -> dict[str, Any] | None:
    tokens = count(call.options, call.request.body, said)
    if call.options.cache_write is None and b'"cache_control"' in call.request.body:
        tokens = tokens._replace(cache_write=tokens.read // 4)
    return call.reported(messages_usage(tokens))


def blocks(said: Said) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if said.thought:
        signature = "EqSim" + secrets.token_urlsafe(60)
        found.append({"type": "thinking", "thinking": said.thought, "signature": signature})
    if not said.tools:
        found.append({"type": "text", "text": said.text, "citations": None})
    for tool in said.tools:
        ident = "toolu_" + secrets.token_hex(12)
        found.append({"type": "tool_use", "id": ident, "name": tool.name, "input": _arguments(tool.arguments)})
    return found


def _arguments(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}


def _stop(call: Call, said: Said) -> str:
    if call.options.end == "incomplete":
        return "max_tokens"
    return "tool_use" if said.tools else "end_turn"


def _event(name: str, **fields: object) -> Event:
    return Event(name.encode(), encode({"type": name, **fields}))


def events(call: Call, message: dict[str, Any]) -> Iterator[Event]:
    opening = message | {"content": [], "stop_reason": None}
    usage = message.get("usage")
    if usage is not None:
        opening["usage"] = usage | {"output_tokens": 1}
    yield _event("message_start", message=opening)
    yield _event("ping")
    for index, block in enumerate(message["content"]):
        yield from _block(call, index, block)
        yield _event("content_block_stop", index=index)
    if call.options.end == "failed":
        yield error_event(MESSAGES, by_status(529), 0)
        return
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    final = {} if usage is None else {"usage": {name: usage[name] for name in DELTA_USAGE}}
    yield _event("message_delta", delta=delta, **final)
    yield _event("message_stop")


DELTA_USAGE = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


def _block(call: Call, index: int, block: dict[str, Any]) -> Iterator[Event]:
    kind = block["type"]
    if kind == "text":
        yield _event("content_block_start", index=index, content_block=block | {"text": ""})
        yield from _deltas(index, "text_delta", "text", deltas(block["text"], call.options))
    elif kind == "thinking":
        empty = block | {"thinking": "", "signature": ""}
        yield _event("content_block_start", index=index, content_block=empty)
        yield from _deltas(index, "thinking_delta", "thinking", words(block["thinking"]))
        yield from _deltas(index, "signature_delta", "signature", [block["signature"]])
    else:
        yield _event("content_block_start", index=index, content_block=block | {"input": {}})
        yield from _deltas(index, "input_json_delta", "partial_json", ["", *_json_pieces(block["input"])])


def _json_pieces(value: object) -> list[str]:
    text = encode(value).decode()
    return [text[at : at + 8] for at in range(0, len(text), 8)]


def _deltas(index: int, kind: str, member: str, pieces: list[str]) -> Iterator[Event]:
    start = b'{"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":' % (
        index,
        kind.encode(),
        member.encode(),
    )
    for piece in pieces:
        yield Event(b"content_block_delta", b"%b%b}}" % (start, encode(piece)))


ROUTES: "dict[str, Endpoint]" = {"POST messages": create, "POST messages/count_tokens": count_tokens}
