"""The event sequence of a Responses stream, made anew from the opening and the final object."""

from collections.abc import Iterator
from typing import Any

import msgspec

from simulator.answer import Event
from simulator.options import Options
from simulator.script import deltas, words

encode = msgspec.json.encode

ENDS = {"completed": b"response.completed", "incomplete": b"response.incomplete", "failed": b"response.failed"}


class Sequence:
    """Numbers events as they are made."""

    def __init__(self) -> None:
        self.number = 0

    def event(self, name: str, /, **fields: object) -> Event:
        number = self.number
        self.number += 1
        return Event(name.encode(), encode({"type": name, "sequence_number": number, **fields}))

    def whole(self, name: bytes, response: bytes) -> Event:
        """An event that holds the response, which is encoded already."""
        number = self.number
        self.number += 1
        return Event(name, b'{"type":"%b","sequence_number":%d,"response":%b}' % (name, number, response))

    def pieces(self, name: str, pieces: list[str], **fields: object) -> Iterator[Event]:
        """Deltas, which differ only in their number and text."""
        label = name.encode()
        start = b'{"type":"%b","sequence_number":' % label
        middle = b"," + encode(fields)[1:-1] + b',"delta":'
        known: str | None = None
        last = b""
        for piece in pieces:
            if piece != known:
                known, last = piece, encode(piece)
            yield Event(label, b"%b%d%b%b}" % (start, self.number, middle, last))
            self.number += 1


def sequence(
    opening: bytes, final: bytes, output: list[dict[str, Any]], options: Options, *, queued: bool = False
) -> Iterator[Event]:
    numbers = Sequence()
    yield numbers.whole(b"response.created", opening)
    if queued:
        yield numbers.whole(b"response.queued", opening)
    yield numbers.whole(b"response.in_progress", opening.replace(b'"status":"queued"', b'"status":"in_progress"', 1))
    makers = {"message": _message, "reasoning": _reasoning, "function_call": _function_call}
    for index, item in enumerate(output):
        make = makers.get(item["type"])
        if make is None:
            yield numbers.event("response.output_item.added", output_index=index, item=item)
        else:
            yield from make(numbers, index, item, options)
        yield numbers.event("response.output_item.done", output_index=index, item=item)
    yield numbers.whole(ENDS.get(options.end, ENDS["completed"]), final)


def _message(numbers: Sequence, index: int, item: dict[str, Any], options: Options) -> Iterator[Event]:
    part = item["content"][0]
    text = part["text"]
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    yield numbers.event(
        "response.output_item.added", output_index=index, item=item | {"status": "in_progress", "content": []}
    )
    yield numbers.event("response.content_part.added", **place, part=part | {"text": ""})
    yield from numbers.pieces("response.output_text.delta", deltas(text, options), **place, logprobs=[])
    yield numbers.event("response.output_text.done", **place, text=text, logprobs=[])
    yield numbers.event("response.content_part.done", **place, part=part)


def _reasoning(numbers: Sequence, index: int, item: dict[str, Any], _: Options) -> Iterator[Event]:
    text = item["summary"][0]["text"]
    place = {"item_id": item["id"], "output_index": index, "summary_index": 0}
    yield numbers.event("response.output_item.added", output_index=index, item=item | {"summary": []})
    yield numbers.event("response.reasoning_summary_part.added", **place, part={"type": "summary_text", "text": ""})
    yield from numbers.pieces("response.reasoning_summary_text.delta", words(text), **place)
    yield numbers.event("response.reasoning_summary_text.done", **place, text=text)
    yield numbers.event("response.reasoning_summary_part.done", **place, part={"type": "summary_text", "text": text})


def _function_call(numbers: Sequence, index: int, item: dict[str, Any], _: Options) -> Iterator[Event]:
    arguments = item["arguments"]
    place = {"item_id": item["id"], "output_index": index}
    yield numbers.event(
        "response.output_item.added", output_index=index, item=item | {"status": "in_progress", "arguments": ""}
    )
    yield from numbers.pieces("response.function_call_arguments.delta", words(arguments), **place)
    yield numbers.event("response.function_call_arguments.done", **place, arguments=arguments, name=item["name"])
