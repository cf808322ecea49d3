"""Takes out of a request what only the account that made it can read, so that another account can go on without it.

Sources: OpenAI API reference (reasoning items, compaction), Anthropic's on extended thinking.
"""

from __future__ import annotations

from typing import Any

import msgspec

from app.protocol.call import Call
from app.protocol.endpoints import Protocol
from app.protocol.envelope import Envelope

CODES = frozenset({"invalid_encrypted_content", "encrypted_content_invalid", "thinking_signature_invalid"})
_SEALED_TYPES = frozenset({"reasoning", "compaction", "compaction_summary"})
_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_list = msgspec.json.Decoder(list[msgspec.Raw])
_BROKEN = (msgspec.DecodeError, msgspec.ValidationError, RecursionError)


class _Item(msgspec.Struct):
    type: Any = None
    encrypted_content: Any = None
    content: msgspec.Raw = msgspec.Raw(b"null")


_item = msgspec.json.Decoder(_Item)


def is_unreadable(call: Call, code: str, message: str) -> bool:
    """Whether a 400 says that the account can't read what another one sealed; Anthropic has words for it, no code."""
    if code in CODES:
        return True
    if call.endpoint.protocol is Protocol.ANTHROPIC:
        return "signature" in message and "thinking" in message
    return "encrypted content" in message.lower() and "could not be" in message.lower()


def without_sealed(call: Call) -> Envelope | None:
    """Return the body without sealed items or thoughts; None where it has none."""
    if call.body is None:
        return None
    name = "messages" if call.endpoint.protocol is Protocol.ANTHROPIC else "input"
    raw = call.body.raw(name)
    if raw is None or not raw.startswith(b"["):
        return None
    try:
        entries = _list.decode(raw)
        kept = _messages(entries) if name == "messages" else [entry for entry in entries if not _is_sealed(entry)]
    except _BROKEN:
        return None
    return None if kept == entries else call.body.with_members({name: msgspec.json.encode(kept)})


def _is_sealed(entry: msgspec.Raw) -> bool:
    item = _item.decode(entry) if bytes(entry).startswith(b"{") else _Item()
    return item.type in _SEALED_TYPES and bool(item.encrypted_content)


def _messages(entries: list[msgspec.Raw]) -> list[msgspec.Raw]:
    """Return messages whose thoughts are left out; one of nothing but thoughts goes as a whole."""
    kept: list[msgspec.Raw] = []
    for entry in entries:
        content = bytes(_item.decode(entry).content) if b"thinking" in bytes(entry) else b""
        if not content.startswith(b"["):
            kept.append(entry)
            continue
        blocks = _list.decode(content)
        left = [block for block in blocks if _item.decode(block).type not in _THOUGHTS]
        if left == blocks:
            kept.append(entry)
        elif left:
            message = msgspec.json.decode(entry, type=dict[str, msgspec.Raw])
            message["content"] = msgspec.Raw(msgspec.json.encode(left))
            kept.append(msgspec.Raw(msgspec.json.encode(message)))
    return kept
