"""Anthropic Messages: create, streamed or not, and count_tokens."""

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.answer import ANTHROPIC, SSE, Answer, Event
from simulator.call import Call, text_of
from simulator.errors import MESSAGES, ApiError, by_status, error_event
from simulator.script import Said, deltas, speak, words
from simulator.store import Account, mint
from simulator.usage import count, messages_usage

if TYPE_CHECKING:
    from simulator.call import Endpoint

encode = msgspec.json.encode
SIGNED = "EqSim"
"""How our signatures begin; the account's own mark follows."""


def create(call: Call) -> Answer:
    check(call, "model", "messages", "max_tokens")
    check_thoughts(call)
    said = say(call)
    ident = mint("msg_", call.plan.ident)
    usage = used(call, said)
    message: dict[str, Any] = {
        "id": ident,
        "type": "message",
        "role": "assistant",
        "model": call.body["model"],
        "content": blocks(said, call.account),
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


def check_thoughts(call: Call) -> None:
    """Refuse thoughts that another account has signed, and tools called without the thought that led to them."""
    last: list[dict[str, Any]] = []
    for n, message in enumerate(call.body["messages"]):
        parts = message.get("content")
        blocks = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
        last = blocks if message.get("role") == "assistant" else last
        for k, block in enumerate(blocks):
            signature = str(block.get("signature", ""))
            if signature.startswith(SIGNED) and call.account.mark not in signature:
                raise ApiError(400, f"messages.{n}.content.{k}: Invalid `signature` in `thinking` block")
    types = [block.get("type") for block in last]
    if thinking(call) == "enabled" and "tool_use" in types and types[0] not in ("thinking", "redacted_thinking"):
        raise ApiError(
            400,
            f"messages.{len(call.body['messages']) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, "
            "but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking "
            "block (preceeding the lastmost set of `tool_use` and `tool_result` blocks).",
        )


def thinking(call: Call) -> str:
    asked = call.body.get("thinking")
    return str(asked.get("type")) if isinstance(asked, dict) else ""


def say(call: Call) -> Said:
    """Answer the last words of the user; results of tools come in the user's name, too."""
    question: str = ""
    outputs: list[str] = []
    for message in call.body["messages"]:
        if message.get("role") != "user":
            continue
        content = message.get("content")
        parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
        results = [part for part in parts if part.get("type") == "tool_result"]
        if results:
            outputs.append(text_of(results[-1].get("content")))
        else:
            question, outputs = text_of(parts[-1:] or content), []
    think = thinking(call) == "enabled" or "think" in call.model().partition("+")[0]
    return speak(call.options, question, outputs, think=think)


def used(call: Call, said: Said) -> dict[str, Any] | None:
    tokens = count(call.options, call.request.body, said)
    if call.options.cache_write is None and b'"cache_control"' in call.request.body:
        tokens = tokens._replace(cache_write=tokens.read // 4)
    return call.reported(messages_usage(tokens))


def blocks(said: Said, account: Account) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if said.thought:
        signature = SIGNED + account.mark + secrets.token_urlsafe(60)
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
    final = {} if usage is None else {"usage": {name: usage[name] for name in DELTA_USAGE if name in usage}}
    yield _event("message_delta", delta=delta, **final)
    yield _event("message_stop")


DELTA_USAGE = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
    "server_tool_use",
)


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
