"""What is planned for one answer: an endpoint's hints, and what faults do to the events, the bytes, the socket."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from simulator.answer import Answer, Event
from simulator.errors import PLAIN, Dialect
from simulator.options import NO_OPTIONS, Options

HANG = Event(b"", b"<hang>")
"""Stands in a sequence of events where nothing comes any more."""

EventFilter = Callable[[Iterator[Event], Answer], Iterator[Event]]
Encoder = tuple[Callable[[bytes], bytes], Callable[[], bytes]]
"""A content encoding: a piece of it, and its end."""


class Style(msgspec.Struct, frozen=True):
    """How server-sent events are spelled."""

    newline: bytes = b"\n"
    space: bytes = b" "
    named: bool = True
    pretty: bool = False
    comments: bool = False

    def render(self, event: Event) -> bytes:
        name, data = event
        lines = []
        if self.comments:
            lines += [b": ping", b"", b":a comment without a space"]
        if name and self.named:
            lines.append(b"event:" + self.space + name)
        if self.pretty and data.startswith(b"{"):
            data = msgspec.json.format(data, indent=1)
        lines += [b"data:" + self.space + line for line in data.split(b"\n")]
        return self.newline.join([*lines, b"", b""])


USUAL_STYLE = Style()


def render_usual(event: Event) -> bytes:
    """What `USUAL_STYLE.render` does, quickly."""
    if event.name:
        return b"event: %b\ndata: %b\n\n" % event
    return b"data: %b\n\n" % event.data


class Plan(msgspec.Struct):
    dialect: Dialect = PLAIN
    options: Options = NO_OPTIONS
    special: bool = False
    """Whether the answer can't just be written at once."""

    # What the endpoints look at.
    stream: bool | None = None
    ident: str | None = None
    usage: Literal["counted", "absent", "odd"] = "counted"

    # What is done to the answer.
    remake: tuple[Callable[[Answer], None], ...] = ()
    filters: tuple[EventFilter, ...] = ()
    style: Style = USUAL_STYLE

    # What is done to the bytes.
    before: Iterable[bytes] = ()
    more_head: Iterable[bytes] = ()
    body: Iterable[bytes] | None = None
    encoder: Encoder | None = None
    sizes: Iterator[int] | None = None
    framing: Literal["usual", "length", "close"] = "usual"
    wrong_by: int = 0

    # What is done to the connection.
    hang: Literal["", "accept", "headers"] = ""
    stop: Literal["", "reset", "cut", "half_close"] = ""
    stop_at: int = 0
    """After how many bytes; -1: in the middle of the body."""
    rate: float = 0.0
    rate_head: bool = True
