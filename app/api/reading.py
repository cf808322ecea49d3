"""Takes a request's body in: never more than the limit, never waiting for ever, undone from compression."""

from __future__ import annotations

import io
from typing import Any

import gevent
from gunicorn.http.errors import ParseException

from app.protocol.errors import Problem, RelayError
from app.relay.decode import DecodeError, TooLargeError, decompress
from app.settings import Settings

CONNECTION = "realms.connection"
"""Where a server of ours puts the client's plain socket; such a server keeps the time of a body by itself."""
SLOWEST = 4096
"""Bytes a second of the slowest line that a body may come over."""
ENCODINGS = frozenset({"gzip", "zstd"})


def read_body(environ: dict[str, Any], settings: Settings) -> bytes:
    """Return the body. Raises ``RelayError``: 400, 408, 413, or 415 for its encoding."""
    limit = settings.body_max_bytes
    stated = environ.get("CONTENT_LENGTH")
    length = int(stated) if stated else None  # the server has checked it
    if length is not None and length > limit:
        raise _too_large(limit)
    stream = environ["wsgi.input"]
    there = isinstance(stream, io.BytesIO)  # a server of ours has all of it
    body = stream.read(limit + 1) if there else _take(environ, limit, body_s=settings.body_s)
    if len(body) > limit:
        raise _too_large(limit)
    if length is not None and len(body) < length:
        raise RelayError(Problem.INVALID_JSON, "The body is shorter than its Content-Length.")
    if encoding := environ.get("HTTP_CONTENT_ENCODING"):
        return _undone(body, encoding.strip().lower(), limit)
    return body


def connection_of(environ: dict[str, Any]) -> Any:
    """Return the client's socket where the server shows it, for noticing that the client left; else None."""
    return environ.get(CONNECTION) or environ.get("gunicorn.socket")


def _take(environ: dict[str, Any], limit: int, *, body_s: float) -> bytes:
    """Read one byte more than the limit at most: of a chunked body that says how long it is too late."""
    connection = environ.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(body_s)
    try:
        body: bytes = _read(environ, limit, body_s)
    except TimeoutError:
        raise RelayError(Problem.BODY_TIMEOUT, "The body did not come in time.") from None
    except (OSError, ParseException):  # the server closes the connection of a body that it can't find the end of
        raise RelayError(Problem.INVALID_JSON, "The body can't be read: its framing is broken.") from None
    finally:
        if connection is not None:
            connection.settimeout(None)
    return body


def _read(environ: dict[str, Any], limit: int, body_s: float) -> bytes:
    stream = environ["wsgi.input"]
    length = int(environ.get("CONTENT_LENGTH") or limit)
    with gevent.Timeout(whole_s(body_s, length), TimeoutError("the body did not come in time")):
        body: bytes = stream.read(limit + 1)
    return body


def whole_s(body_s: float, length: int) -> float:
    """Return how long a body of so many bytes may take in all, in seconds: a byte now and then is no silence."""
    return body_s + length / SLOWEST


def _undone(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in {"", "identity"}:
        return body
    if encoding not in ENCODINGS:
        raise RelayError(Problem.UNSUPPORTED_MEDIA_TYPE, "Content-Encoding may be gzip or zstd.")
    try:
        return decompress(body, encoding, limit=limit)
    except TooLargeError:
        raise _too_large(limit) from None
    except DecodeError as error:
        raise RelayError(Problem.INVALID_JSON, f"The body can't be decompressed: {error}.") from None


def _too_large(limit: int) -> RelayError:
    return RelayError(Problem.TOO_LARGE, f"The body is larger than {limit / 1024 / 1024:g} MiB.")
