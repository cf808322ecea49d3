"""Content encodings nobody asked for: gzip, gzip upon gzip, and bombs made while they are sent."""

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator

from simulator.answer import Answer
from simulator.plan import Encoder

GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"


def announce(depth: int) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        answer.headers += b"content-encoding: %b\r\n" % b", ".join([b"gzip"] * depth)

    return change


def encoder(depth: int) -> Encoder:
    """Streaming gzip, each piece flushed; several layers are one over the other."""
    layers = [zlib.compressobj(6, zlib.DEFLATED, 31) for _ in range(depth)]

    def encode(piece: bytes) -> bytes:
        for layer in layers:
            piece = layer.compress(piece) + layer.flush(zlib.Z_SYNC_FLUSH)
        return piece

    def finish() -> bytes:
        piece = b""
        for layer in layers:
            piece = layer.compress(piece) + layer.flush()
        return piece

    return encode, finish


def bomb(megabytes: int) -> Iterator[bytes]:
    """A gzip body of that decompressed size; every megabyte compresses to the same block, so it costs nothing."""
    megabyte = b"a" * (1 << 20)
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = deflate.compress(megabyte) + deflate.flush(zlib.Z_FULL_FLUSH)
    yield GZIP_HEAD
    check = 0
    for _ in range(megabytes):
        check = zlib.crc32(megabyte, check)
        yield block
    yield deflate.flush() + struct.pack("<II", check, (megabytes << 20) & 0xFFFFFFFF)


def unpack(data: bytes) -> bytes:
    """A request's gzip body."""
    return gzip.decompress(data)
