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
        while data:
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


def decompress(body: bytes, encoding: str, *, limit: int) -> bytes:
    """Return a whole body, undone. Raises ``DecodeError``, or ``TooLargeError`` past ``limit`` bytes."""
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
            return b"".join(pieces)
    raise DecodeError("the compressed body is cut short")
