"""A request's body that isn't all there yet: read from the connection as the application asks for it."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import gevent

from app.api.reading import whole_s

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from app.relay.wire import Wire


class Body(io.RawIOBase):
    """The rest of a body of known length; each wait for more of it has a deadline, and so has all of it."""

    def __init__(self, wire: Wire, *, begun: bytes, length: int, wait_s: float) -> None:
        super().__init__()
        self._wire = wire
        self._wait_s = wait_s
        self._begun = begun
        self._left = length
        self._ends = time.monotonic() + whole_s(wait_s, length)

    def readable(self) -> bool:
        return True

    @property
    def left(self) -> int:
        """How much of it nobody has taken from the connection."""
        return self._left

    def readinto(self, into: WriteableBuffer) -> int:
        """Read some of it; 0 at its end. Raises ``TimeoutError`` or ``WireError``."""
        view = memoryview(into).cast("B")
        size = min(len(view), self._left)
        data = self._next(size) if size else b""
        view[: len(data)] = data
        self._left = self._left - len(data) if data else 0
        return len(data)

    def _next(self, size: int) -> bytes:
        if self._begun:
            data, self._begun = self._begun[:size], self._begun[size:]
            return data
        there = self._wire.read_now(size)
        if there is not None:
            return there
        patience = min(self._wait_s, self._ends - time.monotonic())
        with gevent.Timeout(max(0.0, patience), TimeoutError("the body did not come in time")):
            return self._wire.read(size)
