"""What the stations are given: a token's call, a provider's answers and streams, and neighbours that keep nothing."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from app.protocol.call import Call, Caller, Place
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.protocol.headers import to_upstream
from app.protocol.record import Record, line_of
from app.services.journal import Journal
from app.services.shared_counters import SharedCounters

PLACE = Place(1, 1, "openai", "http://127.0.0.1:9/v1", "sk-upstream")
CALLER = Caller(1, 1, "mark")
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer sk_token\r\n"
    b"Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: OpenAI/Python 2.0.0\r\n"
    b"X-Stainless-Lang: python\r\nX-Stainless-Retry-Count: 0\r\nContent-Length: %d\r\n\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_1\r\nContent-Length: %d\r\n\r\n%s"
ENVIRON = {
    "REQUEST_METHOD": "POST",
    "CONTENT_TYPE": "application/json",
    "HTTP_HOST": "127.0.0.1:8080",
    "HTTP_AUTHORIZATION": "Bearer sk_token",
    "HTTP_ACCEPT": "application/json",
    "HTTP_USER_AGENT": "OpenAI/Python 2.0.0",
    "HTTP_X_STAINLESS_LANG": "python",
    "HTTP_X_STAINLESS_RETRY_COUNT": "0",
}


def request_body(size: int, *, model: str = "gpt-5", **more: object) -> bytes:
    messages = [{"role": "user", "content": "say hello " * (size // 10)}]
    return json.dumps({"model": model, "messages": messages, **more}, separators=(",", ":")).encode()


def answer_body(size: int) -> bytes:
    message = {"role": "assistant", "content": "hello to you " * (size // 13)}
    usage = {"prompt_tokens": 25, "completion_tokens": 50, "total_tokens": 75}
    told = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-5", "choices": [{"message": message}]}
    return json.dumps(told | {"usage": usage}).encode()


def chat_events(count: int) -> bytes:
    delta = {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": "hello " * 8}}],
    }
    return b"".join(b"data: " + json.dumps(delta).encode() + b"\n\n" for _ in range(count))


def typed_events(kind: str, count: int) -> bytes:
    event = {"type": kind, "index": 0, "item_id": "msg_1", "delta": {"type": "text_delta", "text": "hello " * 8}}
    return f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode() * count


def call(endpoint: str, raw: bytes, *, stream: bool = False) -> Call:
    return Call(
        id="0" * 32,
        request_id="req_1",
        endpoint=BY_NAME[endpoint],
        caller=CALLER,
        headers=tuple(to_upstream(ENVIRON)),
        body=parse(raw),
        model="gpt-5",
        stream=stream,
        started=time.monotonic(),
    )


class Nowhere:
    """A ledger and a wire that keep nothing."""

    waited = holds = False

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def settle(self, record: object) -> None:
        self.last = record

    def wait(self) -> None:
        pass

    def read(self, _: int = 0) -> bytes:
        return self.data

    read_later = read


class Unspent:
    """Nobody has spent anything."""

    def under(self, *_: object) -> Callable[[], int]:
        return lambda: 0

    in_conversation = under


class Granting:
    """A Redis that has room for everything, and grants large chunks of it."""

    connection_pool = SimpleNamespace(connection_kwargs={})

    def register_script(self, _: str) -> Callable[..., list[object]]:
        return lambda keys, _: ["ok", *[1] * len(keys), *[10**12] * len(keys)]


class Opening:
    """A ledger that keeps beginnings in a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def open(self, record: Record) -> None:
        self._journal.open(record.id, line_of(record))


class Granted(SharedCounters):
    """Counts as one of several workers does that was granted a chunk of each limit."""

    def __init__(self) -> None:
        super().__init__(Granting(), share=2)
        self._listening, self._holds_until = True, math.inf

    def give(self, *ended: Any, **more: Any) -> None:
        super().give(*ended, **more)
        if self._live:  # of the call that asked for the chunks
            self._givings.give_back()
