"""What reached the simulator: the last 20,000 requests, as tests want to look at them."""

import base64
import hashlib
import time
from collections import deque
from typing import Any, Literal

import msgspec

from simulator.http import Request

KEPT = 20_000
WHOLE_BODY = 2 << 20
CUT_BODY = 256 << 10
BUDGET = 512 << 20
"""Bytes of bodies kept in all; beyond it the oldest bodies go, their records stay."""

End = Literal["open", "done", "client_left", "fault"]


class Record(msgspec.Struct):
    n: int
    request: Request
    book: "Records"
    started: float
    key: str | None = None
    model: str | None = None
    finished: float | None = None
    end: End = "open"
    status: int | None = None
    bytes_sent: int = 0
    object_id: str | None = None
    usage: dict[str, Any] | None = None
    body_length: int = 0
    body_sha256: str | None = None

    @property
    def method(self) -> str:
        return self.request.method

    def close(self, how: End) -> None:
        if self.end == "open":
            self.end = how
            self.finished = time.time()
            self.book.running -= 1
            self.book.left += how == "client_left"

    def shown(self, limit: int) -> dict[str, Any]:
        """The record as JSON says it; text stays text, other bytes become base64."""
        request = self.request
        body = request.body[:limit]
        try:
            text, coding = body.decode(), "text"
        except UnicodeDecodeError:
            text, coding = base64.b64encode(body).decode(), "base64"
        return {
            "n": self.n,
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "headers": request.headers,
            "body": text,
            "body_coding": coding,
            "body_length": self.body_length,
            "body_cut": len(body) < self.body_length,
            "body_sha256": self.body_sha256,
            "key": self.key,
            "model": self.model,
            "started": self.started,
            "finished": self.finished,
            "end": self.end,
            "status": self.status,
            "bytes_sent": self.bytes_sent,
            "object_id": self.object_id,
            "usage": self.usage,
        }


class Records:
    def __init__(self) -> None:
        self._kept: deque[Record] = deque(maxlen=KEPT)
        self._numbered = 0
        self._held = 0
        self._bodies: deque[Record] = deque()
        self.counted = 0
        self.running = 0
        self.left = 0

    def open(self, request: Request) -> Record:
        self._numbered += 1
        self.counted += 1
        self.running += 1
        record = Record(self._numbered, request, self, time.time(), body_length=len(request.body))
        self._kept.append(record)
        return record

    def settle(self, record: Record) -> None:
        """Keep of the body what is to be kept; called once the request was understood."""
        if record.body_length > WHOLE_BODY:
            record.body_sha256 = hashlib.sha256(record.request.body).hexdigest()
            record.request.body = record.request.body[:CUT_BODY]
        if record.body_length:
            self._bodies.append(record)
            self._held += len(record.request.body)
        while self._held > BUDGET or len(self._bodies) > KEPT:
            oldest = self._bodies.popleft()
            self._held -= len(oldest.request.body)
            oldest.request.body = b""

    def since(self, n: int) -> list[Record]:
        """The records with a number greater than n."""
        return [record for record in self._kept if record.n > n]

    def get(self, n: int) -> Record | None:
        return next((record for record in self._kept if record.n == n), None)

    def clear(self) -> None:
        """Forget them; numbers go on, so that nobody mistakes a new record for an old one."""
        self._kept.clear()
        self._bodies.clear()
        self._held = 0
        self.counted = 0
        self.left = 0
