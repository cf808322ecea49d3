"""An upstream's answer as it comes in: a strict, bounded HTTP/1.1 response reader (RFC 9112).

One that is plain beyond doubt, with a whole head in its first read and a body of stated length, is read here; every
other one by llhttp. It has the face that ``requests`` expects of a response's ``raw``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any

import httptools

from app.relay import plain
from app.relay.decode import DecodeError, Inflater
from app.relay.plain import HEAD_MAX
from app.relay.wire import READ_SIZE, Wire, WireError

FIRST_SIZE = 16 * 1024
"""What is read at once of a head: it may be a stream that follows, of which no more is to lie here than must."""
HEADERS_MAX = 256
INFORMATIONAL_MAX = 16
_DECODED = {"gzip", "x-gzip", "deflate"}


class BrokenAnswerError(Exception):
    """Not an HTTP answer, over a bound, or cut before its own end."""


class Answer:
    """Status, headers (lower-case names) and body of one answer; the body is read as it comes."""

    on_url = on_status = on_chunk_header = on_chunk_complete = None
    """Of no interest; llhttp's binding looks for them all, and to find nothing costs more than to find None."""

    # How each answer begins; set on one as soon as it is otherwise there.
    _parser: Any = None
    _left = -1
    """Bytes of a plain body that are still to come; less than none where llhttp has to tell."""
    _after_whole: int | None = None
    _inflater: Inflater | None = None
    _pending: Iterator[bytes] = iter(())
    _informational = 0
    _head_size = 0
    _head_done = False
    _tainted = False
    _may_hold_more = False
    _kept_alive = False
    _told: dict[str, str] | None = None
    status = 0
    complete = False
    waited = True
    read_size = READ_SIZE

    def __init__(self, wire: Wire, *, done: Callable[[bool], None]) -> None:
        self._wire = wire
        self._done: Callable[[bool], None] | None = done
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # called for each chunk, which streams have one of for each event
        self.headers: list[tuple[str, str]] = []

    # -- what llhttp tells ------------------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        self._tainted = self.complete

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:
            return
        if len(self.headers) >= HEADERS_MAX:
            raise BrokenAnswerError("too many headers")
        self.headers.append((_name(name), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if self._head_done:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:
            self._informational += 1
            self.headers.clear()
            if self._informational > INFORMATIONAL_MAX or self.status == 101:
                raise BrokenAnswerError("informational answers without end")
            return
        self._head_done = True

    def on_message_complete(self) -> None:
        if self._head_done and not self.complete:
            self.complete = True
            self._after_whole = len(self._pieces)
            self._kept_alive = self._parser.should_keep_alive()  # afterwards llhttp has forgotten this message

    # -- what the relay asks ----------------------------------------------------------------------------------------
    def read_head(self) -> None:
        """Wait for status and headers. Raises ``BrokenAnswerError``, ``WireError``, or ``Silence``: then it goes on."""
        while not self._head_done:
            data = self._first_bytes()
            begins = not self._head_size
            self._head_size += len(data)
            if not (begins and self._take_plain(data)):
                self._feed(data)
            if self._head_size > HEAD_MAX and not self._head_done:
                raise BrokenAnswerError("the headers are too large")
        self._choose_decoder()

    def _take_plain(self, data: bytes) -> bool:
        """Take the head that ``data`` begins with, and what follows; False where it isn't whole or isn't plain."""
        head = plain.read(data)
        if head is None:
            return False
        self.status, self.headers, self._told = head.status, list(head.headers.items()), head.headers
        self._left, self._kept_alive, self._head_done = head.length, head.keeps, True
        self._feed(data[head.size :])
        return True

    def header(self, name: str) -> str:
        """Return a header's value, empty where there is none; the first where there are several."""
        if self._told is None:
            self._told = dict(reversed(self.headers))
        return self._told.get(name, "")

    def read_now(self) -> bytes | None:
        """Return what has come of the body, None when that is nothing, ``b""`` at its end; never waits.

        Only for a body that isn't compressed. Raises as ``read1`` does.
        """
        self.waited = True
        while not self._pieces and not self.complete:
            data = self._wire.read_now(self.read_size)
            if data is None:
                self._may_hold_more = False
                return None
            if not data:
                return self._ended()
            self._feed(data)
        return self._take_pieces()

    def put_back(self, data: bytes) -> None:
        """Let the next read begin with ``data``, which was read to be judged."""
        if self._inflater is not None:
            self._pending = chain((data,), self._pending)
        elif data:
            self._pieces.insert(0, data)

    @property
    def exhausted(self) -> bool:
        """Whether the next read would find the end."""
        return self.complete and not self._pieces and self._inflater is None

    @property
    def wire(self) -> Wire:
        """What carries it."""
        return self._wire

    @property
    def holds_more(self) -> bool:
        """Whether something may be had that no watcher of the wire will tell of."""
        return self.complete or self._may_hold_more

    @property
    def compressed(self) -> bool:
        """Whether the body has to be undone."""
        return self._inflater is not None

    def read1(self) -> bytes:
        """Return the next piece of the body, undone from compression; ``b""`` at its end.

        Raises ``BrokenAnswerError`` when it ends before it should, ``WireError`` when the connection breaks.
        """
        self.waited = False
        if self._inflater is None:
            return self._next()
        while True:
            piece = next(self._pending, b"")
            if piece:
                return piece
            raw = self._next()
            if not raw:
                if not self._inflater.finished:
                    raise BrokenAnswerError("the compressed body is cut short")
                return b""
            self._pending = self._inflate(raw)

    def read(self, amt: int | None = None, decode_content: bool | None = None) -> bytes:  # noqa: FBT001 - urllib3's
        """Return the body to its end; the sizes that ``requests`` asks for are not kept to."""
        return self.read1() if amt else b"".join(iter(self.read1, b""))

    def close(self) -> None:
        """Let go of the connection: back into the pool when the answer came whole, else closed."""
        done, self._done = self._done, None
        if done:
            self._take_end()
            done(self.complete and self._kept_alive and not self._tainted)

    release_conn = close

    def _first_bytes(self) -> bytes:
        """Read a part of the head. Only before its first byte may the caller try another connection."""
        # A first part can't be there yet; a later one may lie taken in beside it, where no wait would ever see it.
        try:
            data = self._wire.read(FIRST_SIZE) if self._head_size else self._wire.read_later(FIRST_SIZE)
        except WireError as error:
            raise BrokenAnswerError(str(error)) if self._head_size else error from None
        if not data:
            raise BrokenAnswerError("cut in the headers") if self._head_size else WireError("closed before the answer")
        return data

    def _next(self) -> bytes:
        while not self._pieces:
            if self.complete:
                return b""
            data = self._wire.read(self.read_size)
            self.waited = self.waited or self._wire.waited
            if not data:
                return self._ended()
            self._feed(data)
        return self._take_pieces()

    def _take_pieces(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return data

    def _take_end(self) -> None:
        """The last event often comes a moment before the last chunk; take that in if it is there already."""
        if self._head_done and not self.complete:
            with suppress(BrokenAnswerError, WireError):
                if data := self._wire.read_now(FIRST_SIZE):
                    self._feed(data)
        self._parser = None  # each knows the other, and what both hold would lie here until somebody collects garbage
        self._pieces.clear()

    def _ended(self) -> bytes:
        """The connection ended: the right end for a body of no stated length, a cut for every other."""
        if self.header("content-length") or "chunked" in self.header("transfer-encoding").lower():
            raise BrokenAnswerError("the answer was cut before its end")
        self.complete = True
        return b""

    def _feed(self, data: bytes) -> None:
        self._may_hold_more = self._wire.holds
        if self._left >= 0:
            self._take_sized(data)
            return
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.complete:
                raise BrokenAnswerError(f"not an HTTP answer: {error}") from error
            self._tainted = True  # junk behind a whole answer: the answer stands, the connection isn't used again
        if self._after_whole is not None:
            del self._pieces[self._after_whole :]
            self._after_whole = None

    def _take_sized(self, data: bytes) -> None:
        """Take a part of a plain body; what follows it is junk, and the connection isn't used again."""
        left = self._left
        if len(data) > left:
            self._tainted, data = True, data[:left]
        if data:
            self._pieces.append(data)
        self._left = left - len(data)
        self.complete = not self._left

    def _choose_decoder(self) -> None:
        encoding = self.header("content-encoding").strip().lower()
        if encoding in {"", "identity"}:
            return
        if encoding not in _DECODED:
            raise BrokenAnswerError(f"compressed in a way nobody asked for: {encoding[:40]}")
        self._inflater = Inflater()

    def _inflate(self, raw: bytes) -> Iterator[bytes]:
        assert self._inflater is not None  # noqa: S101 - chosen before the first read
        try:
            yield from self._inflater.feed(raw)
        except DecodeError as error:
            raise BrokenAnswerError(str(error)) from error


@lru_cache(maxsize=1024)
def _name(raw: bytes) -> str:
    """Return a header's name in lower case, and remember it: the same few come with every answer."""
    return raw.decode("latin-1").lower()
