"""Gathers the events of a Responses stream into the one object that a caller without streaming wants."""

from __future__ import annotations

from typing import Any

import msgspec

from app.protocol import sse
from app.protocol.opening import HiddenError, error_in

ENDS = frozenset({"response.completed", "response.incomplete", "response.cancelled"})
_NEEDLES = (b"response.output_item.done", b'"response.completed"', b'"response.incomplete"', b'"response.cancelled"',
            b"response.failed", b"error")  # fmt: skip


class _Data(msgspec.Struct):
    type: Any = None
    output_index: Any = None
    item: msgspec.Raw = msgspec.Raw(b"null")
    response: msgspec.Raw = msgspec.Raw(b"null")


_data = msgspec.json.Decoder(_Data)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Gathering:
    """One stream, taken in block by block: ``body`` or ``error`` once its terminal event has come."""

    def __init__(self) -> None:
        self._items: dict[int, bytes] = {}
        self.body: bytes | None = None
        self.error: HiddenError | None = None

    def take(self, block: bytes) -> bool:
        """Take a block of whole events in; return whether the stream has come to its end."""
        if any(needle in block for needle in _NEEDLES):
            for event in sse.split(block):
                self._look(event)
                if self.body is not None or self.error is not None:
                    return True
        return False

    def _look(self, event: bytes) -> None:
        told = sse.read(event)
        try:
            data = _data.decode(told.data)
        except _BROKEN:
            return
        name = data.type if isinstance(data.type, str) else told.name
        if name == "response.output_item.done" and isinstance(data.output_index, int):
            self._items[data.output_index] = bytes(data.item)
        elif name in ENDS and bytes(data.response).startswith(b"{"):
            self.body = self._with_output(bytes(data.response))
        elif name in {"response.failed", "error"}:
            self.error = error_in(event)

    def _with_output(self, response: bytes) -> bytes:
        """Return the response; one that repeats no output gets what was put out, in the order of its indices."""
        members = _members.decode(response)
        if not self._items or bytes(members.get("output", b"")).replace(b" ", b"") not in {b"", b"[]", b"null"}:
            return response
        output = b"[" + b",".join(self._items[index] for index in sorted(self._items)) + b"]"
        return msgspec.json.encode(members | {"output": msgspec.Raw(output)})
