"""What a refused request leaves unread: taken away gently, and its connection ended.

gunicorn would look for the next request behind it: a kilobyte at a time, without an end, and each time it copies what
it has buffered. Whoever goes on sending would keep the whole worker busy with nothing.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import gevent
from gunicorn.http.body import ChunkedReader, LengthReader

SMALL = 16 * 1024
"""What gunicorn may skip by itself: a refused call's usual body."""
LINGER_S = 2.0
LINGER_MAX = 64 * 1024 * 1024
PIECE = 256 * 1024


def is_much(request: Any) -> bool:
    """Whether more of a request's body was left unread than is skipped in a moment, or nobody knows how much."""
    reader = getattr(getattr(request, "body", None), "reader", None)
    if isinstance(reader, ChunkedReader):
        return reader.parser is not None
    return isinstance(reader, LengthReader) and reader.length > SMALL


def take_away(client: Any) -> None:
    """End our side, so that the answer is read, and swallow for a moment what still comes."""
    taken = 0
    with suppress(OSError, gevent.Timeout), gevent.Timeout(LINGER_S):
        client.shutdown(socket.SHUT_WR)
        while taken < LINGER_MAX and (piece := client.recv(PIECE)):
            taken += len(piece)
            gevent.sleep(0)
