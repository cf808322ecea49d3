"""Compression is undone, whole or in pieces, and never to more than it may."""

import contextlib
import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from app.relay.decode import PIECE, DecodeError, Inflater, TooLargeError, decompress

PACKERS = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstandard.ZstdCompressor().compress}
encodings = pytest.mark.parametrize("encoding", PACKERS)
LIMIT = 1_000_000


def streamed(data):
    """zstd without the size in its head, as a client makes it that compresses as it goes."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


@given(st.binary(max_size=5000), st.sampled_from(sorted(PACKERS)))
def test_what_was_packed_comes_out(data, encoding):
    assert decompress(PACKERS[encoding](data), encoding, limit=LIMIT) == data


@given(st.binary(max_size=5000), st.lists(st.integers(1, 100), max_size=50))
def test_it_comes_out_however_it_was_cut(data, cuts):
    packed, inflater, out = gzip.compress(data), Inflater(), b""
    for cut in [*cuts, len(packed)]:
        out += b"".join(inflater.feed(packed[:cut]))
        packed = packed[cut:]
    assert (out, inflater.finished) == (data, True)


@given(st.binary(max_size=300), st.sampled_from(sorted(PACKERS)))
def test_any_bytes_are_undone_or_refused(data, encoding):
    with contextlib.suppress(DecodeError):
        decompress(data, encoding, limit=LIMIT)


@encodings
def test_a_body_cut_short_is_refused(encoding):
    packed = PACKERS[encoding](bytes(range(256)) * 100)
    for cut in (1, 5, len(packed) // 2, len(packed) - 1):
        with pytest.raises(DecodeError):
            decompress(packed[:cut], encoding, limit=LIMIT)


@encodings
@pytest.mark.parametrize("more", [b"x", b"\0", None], ids=["junk", "padding", "another"])
def test_a_body_behind_which_something_follows_is_refused_not_cut(encoding, more):
    packed = PACKERS[encoding](b"one")
    assert decompress(packed, encoding, limit=LIMIT) == b"one"
    with pytest.raises(DecodeError):
        decompress(packed + (more or packed), encoding, limit=LIMIT)


def test_what_comes_behind_the_end_of_a_stream_is_not_kept():
    inflater = Inflater()
    assert b"".join(inflater.feed(gzip.compress(b"one"))) == b"one"
    tracemalloc.start()
    for _ in range(20):
        assert list(inflater.feed(bytes(1_000_000))) == []
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000


@encodings
def test_the_limit_is_the_last_size_that_passes(encoding):
    assert len(decompress(PACKERS[encoding](bytes(LIMIT)), encoding, limit=LIMIT)) == LIMIT
    with pytest.raises(TooLargeError):
        decompress(PACKERS[encoding](bytes(LIMIT + 1)), encoding, limit=LIMIT)


@pytest.mark.acceptance("E-9")
@pytest.mark.parametrize("pack", [*PACKERS.values(), streamed], ids=[*PACKERS, "zstd streamed"])
def test_a_bomb_takes_no_more_memory_than_the_limit_asks_for(pack):
    packed = pack(bytes(200_000_000))
    encoding = "zstd" if packed.startswith(b"\x28\xb5\x2f\xfd") else "gzip"
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        decompress(packed, encoding, limit=LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < LIMIT * 3 + PIECE * 10
