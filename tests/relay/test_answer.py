"""Answers as a scripted server sends them: every framing, every cut, and everything that is no HTTP."""

import gzip
import socket
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.relay.answer import HEAD_MAX, Answer, BrokenAnswerError
from app.relay.wire import Wire, WireError

BODY = b"data: one\n\ndata: two\n\n"
FRAMINGS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n%x;x=1\r\n%b\r\n0\r\nx-t: 1\r\n\r\n"
    % (len(BODY) - 5, BODY[5:]),
    "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY,
    "http/1.0": b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
    "informational": b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"
    % (len(BODY), BODY),
}


class Told:
    """An answer over one end of a socket pair; `whole` is what was said when it let go of its wire."""

    def __init__(self, *pieces: bytes, ends: bool = True) -> None:
        ours, self.theirs = socket.socketpair()
        ours.setblocking(False)
        self.wire = Wire(ours)
        self.whole: bool | None = None
        self.answer = Answer(self.wire, done=self._done)
        for piece in pieces:
            self.theirs.sendall(piece)
        if ends:
            self.theirs.shutdown(socket.SHUT_WR)

    def _done(self, whole: bool) -> None:
        self.whole = whole

    def __enter__(self) -> Answer:
        return self.answer

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self.wire.close()
        self.theirs.close()

    def read(self) -> bytes:
        self.answer.read_head()
        return self.answer.read()


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_framing_gives_the_body(framing):
    told = Told(FRAMINGS[framing])
    with told as answer:
        assert told.read() == BODY
        assert (answer.status, answer.complete) == (200, True)
    assert told.whole is (framing not in {"close", "http/1.0"})


@settings(max_examples=60, deadline=None)
@given(framing=st.sampled_from(sorted(FRAMINGS)), cuts=st.lists(st.integers(1, 200), max_size=30))
def test_any_cut_of_any_framing_gives_the_same_body(framing, cuts):
    data, pieces = FRAMINGS[framing], []
    for cut in cuts:
        pieces.append(data[:cut])
        data = data[cut:]
    told = Told(ends=False)
    with told as answer:
        got = b""
        for piece in [*pieces, data]:
            answer._feed(piece)
        told.theirs.close()
        while piece := answer.read1():
            got += piece
        assert got == BODY


@pytest.mark.parametrize("framing", ["length", "chunked", "informational"])
def test_a_body_cut_anywhere_is_broken(framing):
    data = FRAMINGS[framing]
    start = data.rindex(b"\r\n\r\nd" if framing != "chunked" else b"\r\n\r\n5") + 4
    for cut in range(start, len(data)):
        told = Told(data[:cut])
        with told, pytest.raises(BrokenAnswerError):
            told.read()
        assert told.whole is False


def test_a_connection_that_ends_before_any_byte_is_told_apart_from_a_cut_head():
    with Told() as answer, pytest.raises(WireError):
        answer.read_head()
    with Told(b"HTTP/1.1 200 O") as answer, pytest.raises(BrokenAnswerError):
        answer.read_head()


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" * 17 + b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: 1\r\n" % n for n in range(300)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"h" * (HEAD_MAX + 70_000),
        b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nnot gzip at all",
    ],
)
def test_what_is_no_sound_answer_is_broken(data):
    told = Told(data)
    with told, pytest.raises(BrokenAnswerError):
        told.read()
    assert told.whole is False


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_compressed_body_is_undone(pack):
    packed = pack(BODY * 1000)
    told = Told(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed), packed)
    with told:
        assert told.read() == BODY * 1000
    assert told.whole is True


def test_a_compressed_body_cut_short_is_broken():
    packed = gzip.compress(BODY * 1000)[:-9]
    told = Told(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed), packed)
    with told, pytest.raises(BrokenAnswerError):
        told.read()


@pytest.mark.acceptance("E-9")
def test_a_bomb_is_undone_in_pieces():
    packed = gzip.compress(bytes(50_000_000))
    told = Told(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed), packed)
    with told as answer:
        answer.read_head()
        sizes = [len(piece) for piece in iter(answer.read1, b"")]
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= 1024 * 1024


def test_header_names_are_lower_case_and_values_as_they_came():
    with Told(b"HTTP/1.1 204 No Content\r\nX-One:  a b\r\nX-One: c\r\n\r\n") as answer:
        answer.read_head()
        assert answer.headers == [("x-one", "a b"), ("x-one", "c")]
        assert (answer.header("x-one"), answer.header("none")) == ("a b", "")


def test_what_comes_behind_an_answer_is_not_its_body_and_taints_the_wire():
    told = Told(FRAMINGS["length"] + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
    with told:
        assert told.read() == BODY
    assert told.whole is False


def test_an_answer_given_up_in_the_middle_is_not_whole():
    told = Told(FRAMINGS["chunked"][:-20], ends=False)
    with told as answer:
        answer.read_head()
        assert answer.read1()
    assert told.whole is False


def test_the_last_chunk_is_taken_in_when_the_body_was_left_just_before_it():
    head, tail = FRAMINGS["chunked"].split(b"0\r\nx-t")
    told = Told(head, ends=False)
    with told as answer:
        answer.read_head()
        assert answer.read1() == BODY
        told.theirs.sendall(b"0\r\nx-t" + tail)
    assert told.whole is True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_an_answer_or_broken_and_nothing_else(data, begins_well):
    told = Told((b"HTTP/1.1 200 OK\r\n" if begins_well else b"") + data)
    with told:
        try:
            told.read()
        except (BrokenAnswerError, WireError):
            assert not told.answer.complete
