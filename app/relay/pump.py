"""Carries a stream from its upstream to its client in the hub's own callbacks: no greenlet waits while it is open.

One callback is one read and one send, so that no stream, however fast, keeps the others from their turn. A client
that is slower than its upstream holds that back: nothing more is read before all that was read is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import gevent
import structlog

from app.relay.hands import soon
from app.relay.stream import Stream
from app.relay.wire import Wire, WireError

LAST_CHUNK = b"0\r\n\r\n"
log = structlog.get_logger()


class Pump:
    """One stream to one client, in chunks (RFC 9112, 7.1) behind ``head``; ``whole`` tells whether all of it went."""

    __slots__ = ("_client", "_done", "_head", "_reading", "_rest", "_source", "_stream", "ended", "whole")

    def __init__(
        self, stream: Stream, source: Wire, client: Wire, *, head: bytes, done: Callable[[Pump], None]
    ) -> None:
        self._stream = stream
        self._source = source
        self._client = client
        self._head = head
        self._done = done
        self._rest = memoryview(b"")
        self._reading = False
        self.ended = False
        self.whole = False

    def start(self) -> bool:
        """Send what is there already. Returns whether that was all; ``done`` is called only for what ends later."""
        done, self._done = self._done, lambda _: None
        self._stream.live.on_silence = self._beat
        self._advance()
        self._done = done
        return self.ended

    def _advance(self) -> None:
        """One read, and what follows from it."""
        stream = self._stream
        try:
            block = stream.advance()
            if block is None:
                self._await_upstream()
            elif stream.claims:
                self._pause()
                soon(partial(self._claim, block))
            else:
                self._show(stream.confirm(block))
        except Exception:
            log.exception("stream_broken")
            self._end(whole=False)

    def _claim(self, block: bytes) -> None:
        """In a greenlet, for this waits for the database."""
        try:
            self._show(self._stream.confirm(self._stream.claim(block)))
        except Exception:
            log.exception("stream_broken")
            self._end(whole=False)

    def _show(self, block: bytes) -> None:
        stream = self._stream
        if stream.left:
            self._end(whole=False)
            return
        data = b"%b%x\r\n%b\r\n" % (self._head, len(block), block) if block else self._head
        if stream.over:
            data += LAST_CHUNK
        self._head = b""
        self._send(data)

    def _send(self, data: bytes) -> None:
        try:
            sent = self._client.write_now(data) if data else 0
        except WireError:
            self._end(whole=False)
            return
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self._await_client()
        elif self._stream.over:
            self._end(whole=True)
        else:
            self._stream.live.shown()
            self._await_upstream()

    def _send_rest(self) -> None:
        try:
            self._rest = self._rest[self._client.write_now(self._rest) :]
        except WireError:
            self._end(whole=False)
            return
        if not self._rest:
            self._client.writable.stop()
            if self._stream.over:
                self._end(whole=True)
            else:
                self._await_upstream()

    def _await_upstream(self) -> None:
        if not self._reading:
            self._reading = True
            self._source.watch(self._advance)
        if self._stream.holds_more:
            gevent.get_hub().loop.run_callback(self._advance_again)

    def _pause(self) -> None:
        self._reading = False
        self._source.rest()

    def _await_client(self) -> None:
        self._pause()
        self._stream.live.waits_for_client()
        self._client.writable.start(self._send_rest)

    def _advance_again(self) -> None:
        """Look for what was taken in already: no watcher sees that."""
        if self._reading:
            self._advance()

    def _beat(self) -> None:
        """Show the client that its stream is alive, between two events."""
        if self._reading:
            self._show(self._stream.heartbeat())

    def _end(self, *, whole: bool) -> None:
        if self.ended:
            return
        self._pause()
        self._client.writable.stop()
        self.ended, self.whole = True, whole
        self._stream.close()
        self._done(self)
