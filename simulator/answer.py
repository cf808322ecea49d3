"""What an endpoint hands back: a plain body or a sequence of server-sent events, and the head that goes with it."""

import http
import secrets
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

JSON = b"application/json"
SSE = b"text/event-stream; charset=utf-8"

REASONS = {int(status): status.phrase.encode() for status in http.HTTPStatus} | {529: b"Overloaded"}

# What a provider and the proxy before it add.  None of it may ever reach a relay's clients.
EDGE = (
    b"server: cloudflare\r\n"
    b"set-cookie: __cf_bm=sim.cookie; path=/; HttpOnly; Secure; SameSite=None\r\n"
    b"cf-cache-status: DYNAMIC\r\n"
    b"strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n"
    b'alt-svc: h3=":443"; ma=86400\r\n'
)
OPENAI = EDGE + (
    b"openai-organization: sim-organization\r\n"
    b"openai-project: proj_sim\r\n"
    b"openai-processing-ms: 12\r\n"
    b"openai-version: 2020-10-01\r\n"
    b"x-ratelimit-limit-requests: 10000\r\n"
    b"x-ratelimit-limit-tokens: 2000000\r\n"
    b"x-ratelimit-remaining-requests: 9999\r\n"
    b"x-ratelimit-remaining-tokens: 1999000\r\n"
    b"x-ratelimit-reset-requests: 6ms\r\n"
    b"x-ratelimit-reset-tokens: 30ms\r\n"
)
ANTHROPIC = EDGE + (
    b"anthropic-organization-id: 00000000-0000-4000-8000-0000000051a1\r\n"
    b"anthropic-ratelimit-requests-limit: 4000\r\n"
    b"anthropic-ratelimit-requests-remaining: 3999\r\n"
    b"anthropic-ratelimit-requests-reset: 2026-11-23T00:00:00Z\r\n"
    b"anthropic-ratelimit-tokens-limit: 400000\r\n"
    b"anthropic-ratelimit-tokens-remaining: 399000\r\n"
    b"anthropic-ratelimit-tokens-reset: 2026-11-23T00:00:00Z\r\n"
)


class Event(NamedTuple):
    """One server-sent event; Chat's have no name."""

    name: bytes
    data: bytes


class Answer(msgspec.Struct):
    status: int = 200
    body: bytes = b""
    events: Iterator[Event] | None = None
    content_type: bytes = JSON
    headers: bytes = b""
    """Header lines of this answer alone, each ended by CRLF."""
    brand: bytes = OPENAI
    object_id: str | None = None
    usage: dict[str, Any] | None = None

    def head(self) -> bytes:
        """The status line and all headers but those of framing."""
        token = secrets.token_hex(16).encode()
        name = b"request-id" if self.brand is ANTHROPIC else b"x-request-id"
        return b"HTTP/1.1 %d %b\r\ndate: %b\r\n%bcf-ray: %b-SIM\r\n%b: req_%b\r\ncontent-type: %b\r\n%b" % (
            self.status,
            REASONS.get(self.status, b"Unknown"),
            _date(int(time.time())),
            self.brand,
            token[:16],
            name,
            token,
            self.content_type,
            self.headers,
        )


def json_answer(value: object, status: int = 200, *, object_id: str | None = None) -> Answer:
    return Answer(status, msgspec.json.encode(value), object_id=object_id)


_dates: dict[int, bytes] = {}


def _date(now: int) -> bytes:
    """The Date header of this second, made once a second."""
    found = _dates.get(now)
    if found is None:
        _dates.clear()
        found = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now)).encode()
        _dates[now] = found
    return found


def stream_answer(events: Iterator[Event], *, object_id: str, usage: dict[str, Any] | None) -> Answer:
    return Answer(events=events, content_type=SSE, object_id=object_id, usage=usage)
