"""Undoes compression, never making more at once than it may."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import zstandard

PIECE = 1024 * 1024
_WINDOW_MAX = 2**27
_ZSTD_STEP = 256
"""Bytes taken in at once: a block takes four at least and makes 128 KiB at most, so no more than 8 MiB come out."""
_ZLIB_EITHER = 47
"""zlib's ``wbits`` for "gzip or zlib, as the header says"."""
FOLLOWED = "something follows the compressed body"


class DecodeError(Exception):
    """Compressed bytes that can't be undone."""


class TooLargeError(Exception):
    """More than the limit came out."""


class Inflater:
    """Undoes gzip or deflate piece by piece."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_ZLIB_EITHER)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` holds, at most 1 MiB at a time. Raises ``DecodeError``."""
        while data and not self._zlib.eof:  # zlib would keep all that comes later
            try:
                piece = self._zlib.decompress(data, PIECE)
            except zlib.error:
                raise DecodeError("the compressed body is broken") from None
            if piece:
                yield piece
            data = self._zlib.unconsumed_tail

    @property
    def finished(self) -> bool:
        """Whether the compressed stream came to its own end."""
        return self._zlib.eof

    @property
    def followed(self) -> bool:
        """Whether something came behind that end."""
        return bool(self._zlib.unused_data)


def decompress(body: bytes, encoding: str, *, limit: int) -> bytes:
    """Return a whole body, undone. Raises ``DecodeError``, or ``TooLargeError`` past ``limit`` bytes.

    What follows the end of the compressed stream, another one included, is refused: to leave it out would be to change
    what was sent, and to undo a million tiny streams takes seconds in which nobody else is served.
    """
    if encoding == "zstd":
        return _unzstd(body, limit)
    inflater = Inflater()
    pieces, size = [], 0
    for piece in inflater.feed(body):
        size += len(piece)
        if size > limit:
            raise TooLargeError
        pieces.append(piece)
    if not inflater.finished:
        raise DecodeError("the compressed body is cut short")
    if inflater.followed:
        raise DecodeError(FOLLOWED)
    return b"".join(pieces)


def _unzstd(body: bytes, limit: int) -> bytes:
    undo = zstandard.ZstdDecompressor(max_window_size=_WINDOW_MAX).decompressobj()
    pieces, size = [], 0
    for start in range(0, len(body), _ZSTD_STEP):
        try:
            piece = undo.decompress(body[start : start + _ZSTD_STEP])
        except zstandard.ZstdError:
            raise DecodeError("the compressed body is broken") from None
        size += len(piece)
        if size > limit:
            raise TooLargeError
        pieces.append(piece)
        if undo.eof:
            if undo.unused_data or start + _ZSTD_STEP < len(body):
                raise DecodeError(FOLLOWED)
            return b"".join(pieces)
    raise DecodeError("the compressed body is cut short")
