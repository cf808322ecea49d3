"""Gives a Responses body the form that the Codex backend takes; what it doesn't reject passes with its own bytes."""

from __future__ import annotations

import msgspec

from app.protocol.envelope import Envelope
from app.protocol.errors import Problem, RelayError

REJECTED = frozenset({
    "max_output_tokens", "max_completion_tokens", "max_tokens", "temperature", "top_p", "frequency_penalty",
    "presence_penalty", "user", "metadata", "safety_identifier", "truncation", "prompt_cache_retention", "background",
    "previous_response_id", "conversation",
})  # fmt: skip
"""Members that the backend refuses a request for."""
STATE = ("previous_response_id", "conversation")
"""Members that stand for something kept upstream, and nothing is."""
ONLY_CREATES = frozenset({"store", "stream", "include"})
INSTRUCTIONS = "You are a helpful assistant."
"""Sent where neither the caller nor the upstream's policy gives any: the backend wants some."""
ENCRYPTED = "reasoning.encrypted_content"

_Member = dict[str, msgspec.Raw]
_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(_Member)
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def refuse_state(body: Envelope) -> None:
    """Raise ``RelayError`` for a request that goes on from something stored."""
    for name in STATE:
        if body.raw(name) not in (None, b"null"):
            message = "This model's upstream keeps no state: send the whole conversation as input."
            raise RelayError(Problem.INVALID_VALUE, message, param=name)


def transformed(body: Envelope, *, compacts: bool, instructions: str = "") -> Envelope:
    """Return the body as the backend takes it. Raises ``RelayError`` for input that refers to something stored.

    ``instructions`` stand in for those that a caller doesn't give.
    """
    changes = {"input": _input(body.raw("input"))}
    if not _is_text(body.raw("instructions")):
        changes["instructions"] = msgspec.json.encode(instructions or INSTRUCTIONS)
    if (tools := body.raw("tools")) is not None and b'"function"' in tools:
        changes["tools"] = _encoded([_flat(tool) for tool in _listed(tools, "tools")])
    if (choice := body.raw("tool_choice")) is not None and choice.startswith(b"{"):
        changes["tool_choice"] = bytes(_flat(msgspec.Raw(choice)))
    gone = set(REJECTED)
    if compacts:
        gone |= ONLY_CREATES
    else:
        changes |= {"store": b"false", "stream": b"true", "include": _include(body.raw("include"))}
    return body.with_members(changes, without=gone & {name for name in gone if name in body})


def _input(raw: bytes | None) -> bytes:
    """Return the input as a list, its items without their ids: the backend would look these up and find nothing."""
    if raw is None or raw == b"null":
        return b"[]"
    if raw.startswith(b'"'):
        return b'[{"type":"message","role":"user","content":[{"type":"input_text","text":' + raw + b"}]}]"
    items = _listed(raw, "input")
    return _encoded([_without_id(item) for item in items]) if b'"id"' in raw else raw


def _without_id(item: msgspec.Raw) -> msgspec.Raw:
    members = _members(item)
    if members is None or "id" not in members:
        return item
    if bytes(members.get("type", b"")) == b'"item_reference"':
        message = "This model's upstream keeps no items: send them whole."
        raise RelayError(Problem.INVALID_VALUE, message, param="input")
    del members["id"]
    return msgspec.Raw(msgspec.json.encode(members))


def _flat(tool: msgspec.Raw) -> msgspec.Raw:
    """Return a function as the Responses API spells it, also where it comes as in Chat Completions."""
    members = _members(tool)
    inner = _members(members["function"]) if members and "function" in members else None
    if members is None or inner is None or bytes(members.get("type", b"")) != b'"function"':
        return tool
    del members["function"]
    return msgspec.Raw(msgspec.json.encode(members | inner))


def _include(raw: bytes | None) -> bytes:
    wanted = [] if raw in (None, b"null") else [bytes(each) for each in _listed(raw or b"", "include")]
    added = msgspec.json.encode(ENCRYPTED)
    return b"[" + b",".join(wanted if added in wanted else [*wanted, added]) + b"]"


def _is_text(raw: bytes | None) -> bool:
    return raw is not None and raw.startswith(b'"') and raw != b'""'


def _listed(raw: bytes, name: str) -> list[msgspec.Raw]:
    try:
        return _list.decode(raw)
    except _BROKEN:
        raise RelayError(Problem.INVALID_TYPE, f"'{name}' must be a list.", param=name) from None


def _members(raw: msgspec.Raw) -> _Member | None:
    try:
        return _object.decode(raw)
    except _BROKEN:
        return None


def _encoded(entries: list[msgspec.Raw]) -> bytes:
    return msgspec.json.encode(entries)
