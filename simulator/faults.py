"""Faults by name: each writes into the plan of one answer.  K counts from 1, BYTES from the status line.

Nothing comes: `hang_accept` (the request is read, never answered), `hang_headers`, `hang_after:K` events.
The connection breaks: `reset` (RST at once), `reset_at:K` bytes, `cut_at:K` bytes (FIN), `half_close[:K]` (FIN,
but the other direction stays open; default in the middle of the body), `slow:BYTES_PER_S`, `slow_body:BYTES_PER_S`.
The head: `informational:N` (1xx answers first), `huge_header:BYTES`, `many_headers:N`, `bad_header[:cr|lf|nul]`,
`wrong_length:+N|-N`, `no_length` (ends with the connection), `redirect:URL` (307), `html` (200 and a page),
`not_found_endpoint` (404 and a page), `type:CONTENT_TYPE`.
The body: `gzip`, `gzip_bomb:MB`, `stacked_gzip:N`, `broken_json`, `empty_body`, `bad_utf8`, `split:N`,
`split_random:SEED`, `json_for_stream`, `sse_for_plain`, `usage_absent`, `usage_odd`, `same_id:ID`, `long_id:N`.
The events: `error_first:CODE`, `error_opening:CODE`, `error_after:K:CODE` (CODE: a status or an error's code),
`no_terminal:K`, `two_terminals`, `after_terminal`, `id_change`, `big_event:BYTES`.
Their spelling: `crlf`, `cr`, `multiline`, `comments`, `no_event_lines`, `no_space`.
"""

import random
from collections.abc import Callable, Iterator
from itertools import cycle, islice, repeat
from typing import Any

import msgspec

from simulator import compression, events
from simulator.answer import Answer
from simulator.errors import by_code
from simulator.options import BadOptionsError
from simulator.plan import Plan

JUNK = {
    "cr": b"x-junk: one\rtwo\r\n",
    "lf": b"x-junk: one\nset-cookie: stolen=1\r\n",
    "nul": b"x-junk: one\x00two\r\n",
}


def apply(plan: Plan, fault: str) -> None:
    name, _, text = fault.partition(":")
    function = FAULTS.get(name)
    if function is None:
        raise BadOptionsError(f"simulator: unknown fault {name!r}")
    try:
        function(plan, text)
    except ValueError as error:
        raise BadOptionsError(f"simulator: fault {fault!r}: {error}") from error
    plan.special = True


def _set(**fields: Any) -> Callable[[Plan, str], None]:
    """A fault that only sets fields of the plan."""

    def function(plan: Plan, text: str) -> None:
        for name, value in fields.items():
            setattr(plan, name, value)

    return function


def _style(**fields: Any) -> Callable[[Plan, str], None]:
    def function(plan: Plan, text: str) -> None:
        plan.style = msgspec.structs.replace(plan.style, **fields)

    return function


def _stop(how: Any) -> Callable[[Plan, str], None]:
    def function(plan: Plan, text: str) -> None:
        plan.stop = how
        plan.stop_at = int(text) if text else -1

    return function


def _events(make: Callable[[Plan, str], Any]) -> Callable[[Plan, str], None]:
    def function(plan: Plan, text: str) -> None:
        plan.filters += (make(plan, text),)

    return function


def _remake(make: Callable[[str], Callable[[Answer], None]]) -> Callable[[Plan, str], None]:
    def function(plan: Plan, text: str) -> None:
        plan.remake += (make(text),)

    return function


def _slow(plan: Plan, text: str) -> None:
    plan.rate = float(text)


def _slow_body(plan: Plan, text: str) -> None:
    plan.rate = float(text)
    plan.rate_head = False


def _informational(plan: Plan, text: str) -> None:
    kinds = cycle((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"))
    plan.before = islice(kinds, int(text))


def _huge_header(plan: Plan, text: str) -> None:
    def lines() -> Iterator[bytes]:
        yield b"x-huge: "
        left = int(text)
        while left > 0:
            yield b"h" * min(left, 65536)
            left -= 65536
        yield b"\r\n"

    plan.more_head = lines()


def _many_headers(plan: Plan, text: str) -> None:
    plan.more_head = (b"x-many-%d: %d\r\n" % (n, n) for n in range(int(text)))


def _bad_header(plan: Plan, text: str) -> None:
    plan.more_head = [JUNK[text]] if text in JUNK else list(JUNK.values())


def _wrong_length(plan: Plan, text: str) -> None:
    plan.wrong_by = int(text)
    plan.framing = "length"


def _bomb(plan: Plan, text: str) -> None:
    megabytes = int(text)
    plan.remake += (compression.announce(1),)
    plan.body = compression.bomb(megabytes)


def _gzip(plan: Plan, text: str) -> None:
    depth = int(text or 1)
    plan.remake += (compression.announce(depth),)
    plan.encoder = compression.encoder(depth)


def _split_random(plan: Plan, text: str) -> None:
    numbers = random.Random(text)
    plan.sizes = iter(lambda: numbers.randint(1, 200), 0)


def _split(plan: Plan, text: str) -> None:
    plan.sizes = repeat(int(text))
    if int(text) < 1:
        raise ValueError("must be at least 1")


def _ident(plan: Plan, text: str) -> None:
    plan.ident = text


def _long_id(plan: Plan, text: str) -> None:
    plan.ident = "long:" + text


def _replaced(**fields: Any) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.events = None
        for name, value in fields.items():
            setattr(answer, name, value)

    return change


PAGE = b"<!DOCTYPE html>\n<html><head><title>%b</title></head><body><h1>%b</h1></body></html>\n"


def _page(status: int, title: bytes) -> Callable[[Answer], None]:
    return _replaced(status=status, content_type=b"text/html; charset=utf-8", body=PAGE % (title, title))


def _redirect(text: str) -> Callable[[Answer], None]:
    return _replaced(status=307, body=b"", headers=b"location: %b\r\n" % text.encode())


def _content_type(text: str) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.content_type = text.encode()

    return change


def _broken_json(answer: Answer) -> None:
    answer.body = answer.body[: len(answer.body) // 2]
    if answer.events is not None:
        answer.events = events.broken(answer.events)


def _empty(answer: Answer) -> None:
    answer.body = b""
    if answer.events is not None:
        answer.events = iter(())


def _bad_utf8(answer: Answer) -> None:
    answer.body = events.junk_in(answer.body)
    if answer.events is not None:
        answer.events = events.bad_utf8(answer.events)


def _error_after(plan: Plan, text: str) -> Any:
    number, _, code = text.partition(":")
    return events.error_after(plan.dialect, int(number), by_code(code or "500"))


FAULTS: dict[str, Callable[[Plan, str], None]] = {
    "hang_accept": _set(hang="accept"),
    "hang_headers": _set(hang="headers"),
    "hang_after": _events(lambda _, text: events.hang_after(int(text))),
    "reset": _set(stop="reset", stop_at=0),
    "reset_at": _stop("reset"),
    "cut_at": _stop("cut"),
    "half_close": _stop("half_close"),
    "slow": _slow,
    "slow_body": _slow_body,
    "informational": _informational,
    "huge_header": _huge_header,
    "many_headers": _many_headers,
    "bad_header": _bad_header,
    "wrong_length": _wrong_length,
    "no_length": _set(framing="close"),
    "redirect": _remake(_redirect),
    "html": _remake(lambda _: _page(200, b"Welcome")),
    "not_found_endpoint": _remake(lambda _: _page(404, b"404 Not Found")),
    "type": _remake(_content_type),
    "gzip": _gzip,
    "gzip_bomb": _bomb,
    "stacked_gzip": _gzip,
    "broken_json": _remake(lambda _: _broken_json),
    "empty_body": _remake(lambda _: _empty),
    "bad_utf8": _remake(lambda _: _bad_utf8),
    "split": _split,
    "split_random": _split_random,
    "json_for_stream": _set(stream=False),
    "sse_for_plain": _set(stream=True),
    "usage_absent": _set(usage="absent"),
    "usage_odd": _set(usage="odd"),
    "same_id": _ident,
    "long_id": _long_id,
    "error_first": _events(lambda plan, text: events.error_after(plan.dialect, 0, by_code(text))),
    "error_opening": _events(lambda plan, text: events.error_after(plan.dialect, plan.dialect.opening, by_code(text))),
    "error_after": _events(_error_after),
    "no_terminal": _events(lambda _, text: events.no_terminal(int(text))),
    "two_terminals": _events(lambda plan, _: events.two_terminals(plan.dialect)),
    "after_terminal": _events(lambda plan, _: events.after_terminal(plan.dialect)),
    "id_change": _events(lambda plan, _: events.id_change(plan.dialect)),
    "big_event": _events(lambda plan, text: events.big_event(plan.dialect, int(text))),
    "crlf": _style(newline=b"\r\n"),
    "cr": _style(newline=b"\r"),
    "multiline": _style(pretty=True),
    "comments": _style(comments=True),
    "no_event_lines": _style(named=False),
    "no_space": _style(space=b""),
}
