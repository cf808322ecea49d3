"""An upstream's answer on its way to the client, and why one that broke did so."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from app.protocol.body import Told
from app.protocol.call import Place
from app.protocol.errors import Problem, RelayError
from app.relay.answer import Answer, BrokenAnswerError
from app.relay.watch import Cut, Live
from app.relay.wire import Wire, WireError

ANSWER_MAX = 64 * 1024 * 1024
STREAM_READ = 24 * 1024
"""What is taken of a stream at once, in bytes: with the server's copy of it all that a standing reader costs us."""
EVENT_STREAM = "text/event-stream"


class ClientLeftError(Exception):
    """The client is gone; there is nobody to tell anything."""


class Link:
    """An upstream's answer on its way to the client, its status judged good to pass on."""

    __slots__ = (
        "_answer",
        "_body",
        "_idle_s",
        "_live",
        "headers",
        "model",
        "on_close",
        "place",
        "refusal",
        "status",
        "told",
    )

    def __init__(self, answer: Answer, live: Live, *, idle_s: float, place: Place, model: str) -> None:
        self._answer = answer
        self._live = live
        self._idle_s = idle_s
        self._body: bytes | None = None
        self.place = place
        self.model = model
        self.status = answer.status
        self.headers = answer.headers
        self.told: Told | None = None
        """What a plain body says, where it was read to be judged."""
        self.refusal = b""
        """What the upstream says about the caller's own mistake, where that is what the answer is."""
        self.on_close: Callable[[], None] | None = None

    def read(self) -> bytes:
        """Return what has come, ``b""`` at the proper end. Raises ``RelayError`` or ``ClientLeftError``."""
        self._live.waits_for_upstream(self._idle_s, Cut.IDLE)
        try:
            data = self._answer.read1()
        except (BrokenAnswerError, WireError) as error:
            raise cut_error(self._live, error) from error
        if self._live.cut is not None:
            raise cut_error(self._live, None)
        return data

    def read_now(self) -> bytes | None:
        """As ``read``, but never waits: None when nothing has come."""
        self._live.waits_for_upstream(self._idle_s, Cut.IDLE)
        try:
            data = self._answer.read_now()
        except (BrokenAnswerError, WireError) as error:
            raise cut_error(self._live, error) from error
        if self._live.cut is not None:
            raise cut_error(self._live, None)
        return data

    @property
    def wire(self) -> Wire | None:
        """What a pump may wait on; None for a compressed body, which can hold more than its wire shows."""
        return None if self._answer.compressed else self._answer.wire

    @property
    def holds_more(self) -> bool:
        """Whether there may be more than the wire shows: the end of the answer, or what TLS has taken in."""
        return self._answer.holds_more

    def header(self, name: str) -> str:
        """Return one of the answer's headers, empty where it isn't there."""
        return self._answer.header(name)

    def put_back(self, data: bytes) -> None:
        """Let the next read return ``data``, which was read to be judged."""
        self._answer.put_back(data)

    @property
    def waited(self) -> bool:
        """Whether the last read had to wait, and so let others work."""
        return self._answer.waited

    def whole(self, limit: int = ANSWER_MAX) -> bytes:
        """Return the body to its end, also a second time. Raises as ``read`` does, also past ``limit`` bytes."""
        if self._body is not None:
            return self._body
        pieces, size = [], 0
        while piece := self.read():
            size += len(piece)
            if size > limit:
                raise RelayError(Problem.UPSTREAM, "The upstream's answer is too large.")
            pieces.append(piece)
            if self._answer.exhausted:
                break
        self._body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return self._body

    def stand_in(self, body: bytes) -> None:
        """Let ``body``, in JSON, stand for the stream that it was gathered from."""
        self._body = body
        self.headers = [item for item in self.headers if item[0] != "content-type"]

    def is_stream(self, *, under_any_type: bool = False) -> bool:
        """Whether the body is an event stream: by its type, or by its first bytes where it has none of the usual."""
        streams = self._looks_like_stream(under_any_type=under_any_type)
        if streams:
            self._answer.read_size = STREAM_READ
        return streams

    def _looks_like_stream(self, *, under_any_type: bool) -> bool:
        kind = _kind(self._answer.header("content-type"))
        if kind == EVENT_STREAM:
            return True
        if not under_any_type and kind not in {"", "text/plain", "application/octet-stream"}:
            return False
        first = self.read()
        self._answer.put_back(first)
        return first.lstrip(b"\xef\xbb\xbf\r\n").startswith((b"data:", b"event:", b":", b"id:", b"retry:"))

    def close(self) -> None:
        """Let go of the connection."""
        self._live.released()
        self._answer.close()
        on_close, self.on_close = self.on_close, None
        if on_close:
            on_close()


@lru_cache(maxsize=256)
def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def cut_error(live: Live, error: Exception | None) -> RelayError | ClientLeftError:
    """Return what to raise for a broken wire: it was cut for a reason of ours, or the upstream broke it."""
    if live.cut in {Cut.CLIENT_LEFT, Cut.SLOW_READER}:
        return ClientLeftError()
    if live.cut is Cut.DRAIN:
        return RelayError(Problem.OVERLOADED, "Realms is being restarted; try again.", retry_after=1)
    if live.cut is Cut.STOPPED:
        return RelayError(Problem.STOPPED, "This call was ended by its owner or by an administrator.")
    if live.cut is Cut.FIRST_BYTE:
        return RelayError(Problem.TIMEOUT, "The upstream did not begin to answer in time.")
    if live.cut is Cut.IDLE:
        return RelayError(Problem.TIMEOUT, "The upstream fell silent.")
    if live.cut in {Cut.TOTAL, Cut.ATTEMPT}:
        return RelayError(Problem.TIMEOUT, "The call took longer than calls may take.")
    if isinstance(error, BrokenAnswerError):
        return RelayError(Problem.UPSTREAM, "The upstream's answer is broken or was cut before its end.")
    return RelayError(Problem.UPSTREAM, "The connection to the upstream broke.")
