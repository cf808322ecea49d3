"""Follows a stream's events as they pass: what they reveal, how they end, and the few changes that are ours.

Most blocks are passed on after a few substring searches. Only a block that holds a telling word is taken apart, and
only what stands at the level of an event counts: the same words inside a text delta don't.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from app.protocol import body, search, sse
from app.protocol.body import Revealed
from app.protocol.call import Call
from app.protocol.endpoints import ObjectKind, Shape
from app.protocol.ids import is_revealed_id
from app.protocol.record import End
from app.protocol.usage import Usage, from_events, last_telling

HEAD_MAX = 4 * 1024
TAIL_MAX = 8 * 1024
"""Of a long block the last events within so many bytes are kept, for the end to be told by."""
GATHERED_MAX = 3 * 1024
"""Of short blocks all are kept until they are this long together; a slow stream would hold a whole tail for ever."""
LAST_MAX = 1024
TELLING_MAX = 16


class _Data(msgspec.Struct):
    type: Any = None
    id: Any = None
    response: Any = None
    error: Any = None
    choices: Any = None
    usage: Any = None
    sequence_number: Any = None


_data = msgspec.json.Decoder(_Data)
_NOTHING = _Data()


class Story:
    """One stream, told block by block. ``revealed`` holds ids that must be owned before the block may be sent."""

    shape: ClassVar[Shape]
    needles: ClassVar[tuple[bytes, ...]]

    def __init__(self, call: Call, *, rename: str = "", hides_usage: bool = False) -> None:
        self._rename = rename
        self._hides_usage = hides_usage
        self._stores = call.stores
        self._head = b""
        self._tail = b""
        self._hidden = b""
        self._known: set[str] = set()
        self.revealed: Revealed = []
        self.end: End | None = None
        self.background = False
        """Whether what the stream tells of goes on without it."""

    def take(self, block: bytes) -> bytes:
        """Return what of a block of whole events may be sent: all of it, up to the terminal event."""
        self.revealed = []
        block = self._examine_all(block) if self._looks_at_all else self._examine(block)
        if self.shape is Shape.MESSAGES and len(self._head) < HEAD_MAX:
            self._head += block[: HEAD_MAX - len(self._head)]
        self._keep(block)
        return block

    def take_rest(self, rest: bytes) -> bytes:
        """The same of what follows the last whole event where the stream broke off: it may lack only its blank line."""
        before, last = self._tail, rest + b"\n\n"
        taken = self.take(last)
        if self.end is None:
            self.revealed, self._tail = [], before + last  # however long: what came before it is still the last whole
        return taken

    def usage(self) -> Usage:
        """Return what was used, as far as the stream told."""
        return from_events(self._head, self._tail + self._hidden, shape=self.shape, whole=self.end is End.COMPLETED)

    def next_sequence(self) -> int:
        """Return the ``sequence_number`` that an event of ours has to carry."""
        for event in reversed(list(sse.split(self._tail))):
            number = _read(sse.read(event).data).sequence_number
            if isinstance(number, int):
                return number + 1
        return 0

    def _keep(self, block: bytes) -> None:
        """Keep of a block what usage and sequence are read from, should it be the last."""
        if len(block) > GATHERED_MAX:
            self._tail = _last_events(block, TAIL_MAX)
            return
        tail = self._tail + block
        self._tail = tail if len(tail) <= GATHERED_MAX else _shortened(tail)

    @property
    def _looks_at_all(self) -> bool:
        return bool(self._rename)

    def _examine(self, block: bytes) -> bytes:
        """Judge the events that hold a telling word; the bytes between them pass as they are."""
        passed: list[bytes] = []
        at = 0
        while self.end is None and (found := self._telling(block, at)) >= 0:
            if len(passed) > TELLING_MAX:  # to look for each would be to look through the rest each time
                return b"".join(passed) + self._examine_all(block[at:])
            start, end = sse.bounds(block, found)
            event = block[max(start, at) : end]
            passed += (block[at:start], self._event(event, sse.read(event)))
            at = end
        if not at:
            return block
        return b"".join(passed) + (block[at:] if self.end is None else b"")

    def _examine_all(self, block: bytes) -> bytes:
        passed = []
        for event in sse.split(block):
            passed.append(self._event(event, sse.read(event)))
            if self.end is not None:
                break
        return b"".join(passed)

    def _telling(self, block: bytes, at: int) -> int:
        """Return the index of the next telling word, -1 where there is none."""
        return _nearest([search.first(block, needle, at) for needle in self.needles])

    def _event(self, raw: bytes, event: sse.Event) -> bytes:
        """Judge one event; return it as it is to be sent, or nothing."""
        raise NotImplementedError

    def _renamed(self, raw: bytes, event: sse.Event) -> bytes:
        if not self._rename or b'"model"' not in event.data:
            return raw
        try:
            data = body.with_model(event.data, self._rename)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return raw
        name = b"event: " + event.name.encode() + b"\n" if event.name else b""
        return name + b"data: " + data + b"\n\n"

    def _reveal(self, kind: ObjectKind, object_id: Any) -> None:
        if is_revealed_id(object_id) and object_id not in self._known:
            self._known.add(object_id)
            self.revealed.append((kind, object_id))


def _last_events(block: bytes, size: int) -> bytes:
    """Return the whole events that a block's last ``size`` bytes are of."""
    if len(block) <= size:
        return block
    start, _ = sse.bounds(block, len(block) - size)
    return block[start:]


def _shortened(tail: bytes) -> bytes:
    """Return the last events, behind the last one that tells of usage where that isn't among them."""
    last, telling = _last_events(tail, LAST_MAX), last_telling(tail)
    return last if telling in last else telling + last


class ResponsesStory(Story):
    """``response.created`` reveals the id, one of four events or ``error`` ends it."""

    shape = Shape.RESPONSES
    needles = (b'"response"', b"error")
    ends: ClassVar[dict[str, End]] = {
        "response.completed": End.COMPLETED,
        "response.incomplete": End.COMPLETED,
        "response.failed": End.FAILED,
        "response.cancelled": End.COMPLETED,
        "error": End.FAILED,
    }

    def _event(self, raw: bytes, event: sse.Event) -> bytes:
        data = _read(event.data)
        self.end = _end_in(self.ends, event, data)
        if self._stores and isinstance(data.response, dict):
            self.background = self.background or data.response.get("background") is True
            self._reveal(ObjectKind.RESPONSE, data.response.get("id"))
            if self.end is not None:
                for kind, item_id in body.items(data.response.get("output")):
                    self._reveal(kind, item_id)
        return self._renamed(raw, event)


class ChatStory(Story):
    """Every chunk carries the id, ``[DONE]`` or an error ends it."""

    shape = Shape.CHAT
    needles = (b"[DONE]", b'"error"')

    @property
    def _looks_at_all(self) -> bool:
        return self._stores or bool(self._rename)

    def _telling(self, block: bytes, at: int) -> int:
        found = super()._telling(block, at)
        if not self._hides_usage:
            return found
        return _nearest([found, search.first(block, b'_tokens"', at)])

    def _event(self, raw: bytes, event: sse.Event) -> bytes:
        if event.data == b"[DONE]":
            self.end = End.COMPLETED
            return raw
        if self._hides_usage and b'"usage"' in event.data and self._is_usage_chunk(raw, event):
            return b""
        data = _read(event.data) if self._stores or b'"error"' in event.data else _NOTHING
        if data.error:
            self.end = End.FAILED
        if self._stores:
            self._reveal(ObjectKind.CHAT_COMPLETION, data.id)
        return self._renamed(raw, event)

    def _is_usage_chunk(self, raw: bytes, event: sse.Event) -> bool:
        data = _read(event.data)
        if data.choices != [] or not data.usage:
            return False
        self._hidden = raw
        return True


class MessagesStory(Story):
    """``message_stop`` or ``error`` ends it; nothing is kept upstream."""

    shape = Shape.MESSAGES
    needles = (b"message_stop", b"error")
    ends: ClassVar[dict[str, End]] = {"message_stop": End.COMPLETED, "error": End.FAILED}

    def _event(self, raw: bytes, event: sse.Event) -> bytes:
        self.end = _end_in(self.ends, event, _read(event.data))
        return self._renamed(raw, event)


STORIES: dict[Shape, type[Story]] = {story.shape: story for story in (ResponsesStory, ChatStory, MessagesStory)}


def _nearest(places: list[int]) -> int:
    found = [place for place in places if place >= 0]
    return min(found) if found else -1


def _end_in(ends: dict[str, End], event: sse.Event, data: _Data) -> End | None:
    """Return how an event ends its stream, if it does; one whose data is cut short is no end, whatever its name."""
    return None if data is _NOTHING else ends.get(event.name or str(data.type or ""))


def _read(data: bytes) -> _Data:
    try:
        return _data.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOTHING
