"""A stream on its way to the client: owned before it is shown, settled before its end, and ended honestly.

An ordinary iterable, one piece for each read, so that any WSGI server can run it. A server that can pump asks it
instead for what is there (``advance``), and sees itself to the waiting and to what must be claimed in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent

from app.protocol import sse
from app.protocol.call import Call
from app.protocol.endpoints import Shape
from app.protocol.errors import Problem, RelayError, frame
from app.protocol.opening import error_in
from app.protocol.record import GOES_ON, End
from app.protocol.sse import EventTooLargeError, Splitter
from app.protocol.story import Story
from app.protocol.usage import Usage
from app.relay.link import ClientLeftError, Link
from app.relay.ports import Registry
from app.relay.trace import CLIENT_LEFT_STATUS, ENDS, Trace
from app.relay.watch import Live, Watch
from app.relay.wire import Silence, Wire
from app.upstreams import UPSTREAMS
from app.upstreams.verdict import Scope

COMMENT = b": ping\n\n"
"""Never with an ``id:`` or ``retry:`` line: OpenAI's Python SDK takes the next blank line for a broken event then."""
HEARTBEATS = {Shape.MESSAGES: b'event: ping\ndata: {"type": "ping"}\n\n'}


def heartbeat_of(call: Call) -> bytes:
    """Return what shows a call's client that its stream is alive."""
    return HEARTBEATS.get(call.endpoint.shape, COMMENT)


class Stream:
    """One stream. ``over`` tells that nothing follows what was given out; ``left`` that its client is gone.

    ``read`` is told the usage of one that came to its end, where somebody wants to know.
    """

    __slots__ = (
        "_call", "_link", "_live", "_read", "_registry", "_splitter", "_story", "_trace", "_watch", "left", "over",
    )  # fmt: skip

    def __init__(
        self,
        call: Call,
        link: Link,
        story: Story,
        *,
        registry: Registry,
        watch: Watch,
        live: Live,
        trace: Trace,
        read: Callable[[Usage], None] | None = None,
    ) -> None:
        self._call = call
        self._link = link
        self._story = story
        self._registry = registry
        self._watch = watch
        self._live = live
        self._trace = trace
        self._read = read
        self._splitter = Splitter()
        live.on_silence = live.nudge
        self.over = False
        self.left = False

    # -- for a server that iterates -----------------------------------------------------------------------------------
    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        while not self.over:
            if not self._link.waited:
                gevent.sleep(0)  # others' turn: a stream that never waits would freeze them
            block = self._take_next()
            if self.claims:
                block = self.claim(block)
            block = self.confirm(block)
            if block:
                self._live.waits_for_client()
                return block
        raise StopIteration

    def _take_next(self) -> bytes:
        try:
            return self._examined(self._link.read())
        except Silence:
            return self.heartbeat()
        except RelayError as error:
            return self._ended_badly(error)
        except ClientLeftError:
            return self._abandoned()

    # -- for a server that pumps --------------------------------------------------------------------------------------
    def advance(self) -> bytes | None:
        """Return what came and may be shown once it is claimed and confirmed; None when nothing came. Never waits."""
        try:
            data = self._link.read_now()
            return None if data is None else self._examined(data)
        except RelayError as error:
            return self._ended_badly(error)
        except ClientLeftError:
            return self._abandoned()

    @property
    def claims(self) -> bool:
        """Whether the last block shows ids that must be owned first."""
        return bool(self._story.revealed)

    def claim(self, block: bytes) -> bytes:
        """Make the caller the owner of what the block shows; return it, or the error that goes out in its place."""
        revealed, self._story.revealed = self._story.revealed, []
        try:
            self._registry.claim(self._call, self._link.place, revealed)
        except RelayError as error:
            self._story.end = None
            return self._ended_badly(error)
        return block

    def confirm(self, block: bytes) -> bytes:
        """Settle the call if the block ends it; return the block, which now may go out."""
        if block:
            self._trace.sent(block)
        if self._story.end is not None and not self.over:
            self.over = True
            usage = self._story.usage()
            self._trace.settle(self._story.end, status=self._link.status, usage=usage)
            if self._read is not None:
                self._read(usage)
        return block

    def heartbeat(self) -> bytes:
        """Return what shows the client that its stream is alive; goes out between two events only."""
        return heartbeat_of(self._call)

    @property
    def wire(self) -> Wire | None:
        """What a pump waits on; None for a stream that has to be iterated."""
        return self._link.wire

    @property
    def holds_more(self) -> bool:
        """Whether there may be more than the wire shows."""
        return self._link.holds_more

    @property
    def live(self) -> Live:
        """The watch over this call."""
        return self._live

    def close(self) -> None:
        """Let everything go; called by the server, always, also when it gave the stream up for its client is gone."""
        self.over = True
        if not self._trace.settled:
            end = ENDS.get(self._live.cut, End.CLIENT_LEFT) if self._live.cut else End.CLIENT_LEFT
            reason = GOES_ON if self._story.background else ""
            self._trace.settle(end, status=CLIENT_LEFT_STATUS, usage=self._story.usage(), reason=reason)
        self._link.close()
        self._watch.leave(self._live)

    def _examined(self, data: bytes) -> bytes:
        """Return the whole events in what was read. Raises ``RelayError`` when the stream can't go on."""
        block = self._told_in(data) if data else self._at_its_end()
        return self._in_our_words(block) if self._story.end is End.FAILED else block

    def _told_in(self, data: bytes) -> bytes:
        try:
            block = self._splitter.feed(data)
        except EventTooLargeError:
            raise RelayError(Problem.UPSTREAM, "The upstream sent an event over 16 MiB.") from None
        return self._story.take(block) if block else b""

    def _in_our_words(self, block: bytes) -> bytes:
        """Return a block that ends with a failure; one of our account is told in our words, which name nobody."""
        start, _ = sse.bounds(block, len(block) - 1)
        error = error_in(block[start:])
        adapter = UPSTREAMS[self._link.place.kind]
        verdict = adapter.judge(error.status, {}, error.body, call=self._call) if error is not None else None
        if verdict is None or verdict.scope is not Scope.CREDENTIAL or verdict.told is None:
            return block
        sequence = max(0, self._story.next_sequence() - 1)  # the number of the event that isn't sent
        return block[:start] + frame(verdict.told, self._call.endpoint.shape, self._call.request_id, sequence=sequence)

    def _at_its_end(self) -> bytes:
        """The upstream hung up. An event that lacks only its blank line is worth sending if it is the end."""
        rest = self._splitter.rest
        last = self._story.take_rest(rest) if rest else b""
        if self._story.end is None:
            raise RelayError(Problem.UPSTREAM, "The upstream ended the stream before its end.")
        return last

    def _ended_badly(self, error: RelayError) -> bytes:
        """Settle, and return the event of the protocol that tells the client why there is no more."""
        self.over = True
        end = ENDS.get(self._live.cut, End.UPSTREAM_CUT) if self._live.cut else End.UPSTREAM_CUT
        self._trace.settle(end, status=self._link.status, usage=self._story.usage(), reason=error.code)
        sequence = self._story.next_sequence()
        return frame(error, self._call.endpoint.shape, self._call.request_id, sequence=sequence)

    def _abandoned(self) -> bytes:
        self.over = self.left = True
        return b""
