"""What faults do to a sequence of events: each function makes a filter of them."""

from collections.abc import Iterator
from itertools import islice

from simulator.answer import Answer, Event
from simulator.errors import ApiError, Dialect, error_event
from simulator.plan import HANG, EventFilter


def hang_after(count: int) -> EventFilter:
    def change(events: Iterator[Event], _: Answer) -> Iterator[Event]:
        yield from islice(events, count)
        yield HANG

    return change


def no_terminal(count: int) -> EventFilter:
    def change(events: Iterator[Event], _: Answer) -> Iterator[Event]:
        return islice(events, count)

    return change


def error_after(dialect: Dialect, count: int, error: ApiError) -> EventFilter:
    def change(events: Iterator[Event], _: Answer) -> Iterator[Event]:
        yield from islice(events, count)
        yield error_event(dialect, error, count)

    return change


def two_terminals(dialect: Dialect) -> EventFilter:
    def change(events: Iterator[Event], _: Answer) -> Iterator[Event]:
        for event in events:
            yield event
            if dialect.is_terminal(event):
                yield event

    return change


def after_terminal(dialect: Dialect) -> EventFilter:
    """After the end the first content event comes once more."""

    def change(events: Iterator[Event], _: Answer) -> Iterator[Event]:
        again = Event(b"", b"{}")
        for number, event in enumerate(events):
            if number == dialect.opening:
                again = event
            yield event
            if dialect.is_terminal(event):
                yield again

    return change


def id_change(dialect: Dialect) -> EventFilter:
    """After the opening events the object has another id of the same length."""

    def change(events: Iterator[Event], answer: Answer) -> Iterator[Event]:
        old = (answer.object_id or "").encode()
        new = old[:-8] + b"deadbeef"
        for number, (name, data) in enumerate(events):
            keeps = number < dialect.opening or not old
            yield Event(name, data if keeps else data.replace(b'"%b"' % old, b'"%b"' % new))

    return change


def big_event(dialect: Dialect, size: int) -> EventFilter:
    """The first event after the opening gets a member that fills its data up to this size."""

    def change(events: Iterator[Event], _: Answer) -> Iterator[Event]:
        for number, event in enumerate(events):
            if number == dialect.opening:
                room = size - len(event.data) - len(b',"padding":""')
                yield Event(event.name, b'%b,"padding":"%b"}' % (event.data[:-1], b"x" * max(room, 0)))
            else:
                yield event

    return change


def broken(events: Iterator[Event]) -> Iterator[Event]:
    """Every event's JSON ends halfway."""
    for name, data in events:
        yield Event(name, data[: len(data) // 2] if data.startswith(b"{") else data)


def bad_utf8(events: Iterator[Event]) -> Iterator[Event]:
    for name, data in events:
        yield Event(name, junk_in(data) if b"delta" in data else data)


def junk_in(data: bytes) -> bytes:
    """The same with bytes that are no UTF-8 inside its last string."""
    at = data.rfind(b'"')
    return data if at < 0 else data[:at] + b"\xff\xfe" + data[at:]
