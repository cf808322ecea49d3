"""Takes out of a request what only the account that made it can read, so that another account can go on without it.

Sources: OpenAI API reference (reasoning items, compaction), Anthropic's on extended and adaptive thinking.
"""

from __future__ import annotations

from collections.abc import Container
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from app.protocol.call import Call
from app.protocol.endpoints import Protocol
from app.protocol.envelope import Envelope

CODES = frozenset({"invalid_encrypted_content", "encrypted_content_invalid", "thinking_signature_invalid"})
THOUGHTS = frozenset({"thinking", "redacted_thinking"})
TIED = frozenset({"message", "function_call", "custom_tool_call"})
"""Items that OpenAI knows by their ids to have followed a reasoning item, and doesn't take without it."""
_list = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Unsealed(NamedTuple):
    """A body without sealed state, and ``marks`` of what was left out: equal for equal state."""

    body: Envelope
    marks: frozenset[bytes]


class _Item(msgspec.Struct):
    type: str | None = None
    role: Any = None
    encrypted_content: Any = None
    signature: Any = None
    data: Any = None
    content: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def sealed(self) -> str:
        """What only one account can read of an item or a block."""
        if self.type == "reasoning":
            return self.encrypted_content if isinstance(self.encrypted_content, str) else ""
        told = self.signature or self.data if self.type in THOUGHTS else None
        return told if isinstance(told, str) else ""


_item = msgspec.json.Decoder(_Item)


def is_unreadable(call: Call, code: str, message: str) -> bool:
    """Whether a 400 says that the account can't read what another one sealed; Anthropic has words for it, no code."""
    if code in CODES:
        return True
    if call.endpoint.protocol is Protocol.ANTHROPIC:
        return "signature" in message and "thinking" in message
    return "encrypted content" in message.lower() and "could not be" in message.lower()


def unsealed(call: Call, known: Container[bytes] | None = None) -> Unsealed | None:
    """Return the body without sealed reasoning or thoughts, with ``known`` only of these; None where it has none.

    Compacted items stay: they are the conversation itself.
    """
    body = call.body
    name = "messages" if call.endpoint.protocol is Protocol.ANTHROPIC else "input"
    raw = body.raw(name) if body is not None else None
    if body is None or raw is None or not raw.startswith(b"["):
        return None
    marks: set[bytes] = set()
    try:
        entries = _list.decode(raw)
        take = _without_thoughts if name == "messages" else _without_reasoning
        kept = take(entries, known, marks)
        without = _unthinking(body, kept) if marks and name == "messages" else frozenset()
    except _BROKEN:
        return None
    if not marks:
        return None
    return Unsealed(body.with_members({name: msgspec.json.encode(kept)}, without=without), frozenset(marks))


def _taken(item: _Item, known: Container[bytes] | None, marks: set[bytes]) -> bool:
    """Whether an item is left out; if so its mark is kept."""
    if not item.sealed:
        return False
    mark = blake2b(item.sealed.encode("utf-8", "surrogatepass"), digest_size=12).digest()
    if known is not None and mark not in known:
        return False
    marks.add(mark)
    return True


def _read(entry: msgspec.Raw) -> _Item:
    return _item.decode(entry) if bytes(entry).startswith(b"{") else _Item()


def _without_reasoning(
    entries: list[msgspec.Raw], known: Container[bytes] | None, marks: set[bytes]
) -> list[msgspec.Raw]:
    kept = [entry for entry in entries if not _taken(_read(entry), known, marks)]
    return [_untied(entry) for entry in kept] if marks else kept


def _untied(entry: msgspec.Raw) -> msgspec.Raw:
    if b'"id"' not in bytes(entry) or (_read(entry).type or "message") not in TIED:
        return entry
    members = _members.decode(entry)
    return _encoded(members) if members.pop("id", None) is not None else entry


def _without_thoughts(
    entries: list[msgspec.Raw], known: Container[bytes] | None, marks: set[bytes]
) -> list[msgspec.Raw]:
    """Return messages whose thoughts are left out; one of nothing but thoughts goes as a whole."""
    kept: list[msgspec.Raw] = []
    for entry in entries:
        content = bytes(_read(entry).content) if b"thinking" in bytes(entry) else b""
        blocks = _list.decode(content) if content.startswith(b"[") else []
        left = [block for block in blocks if not _taken(_read(block), known, marks)]
        if left == blocks:
            kept.append(entry)
        elif left:
            kept.append(_encoded(_members.decode(entry) | {"content": _encoded(left)}))
    return kept


def _unthinking(body: Envelope, messages: list[msgspec.Raw]) -> frozenset[str]:
    """Return the members that can't stay: in the midst of tools Anthropic wants the thought that a turn began with.

    Only where thinking is ``enabled``; adaptive thinking takes turns without.
    """
    if _item.decode(body.raw("thinking") or b"{}").type != "enabled":
        return frozenset()
    last = next((item for entry in reversed(messages) if (item := _read(entry)).role == "assistant"), None)
    if last is None or not bytes(last.content).startswith(b"["):
        return frozenset()
    types = [_read(block).type for block in _list.decode(last.content)]
    if "tool_use" not in types or types[0] in THOUGHTS:
        return frozenset()
    clears = b"clear_thinking" in (body.raw("context_management") or b"")
    return frozenset({"thinking", "context_management"} if clears else {"thinking"})


def _encoded(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
