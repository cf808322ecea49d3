"""What is taken for a plain head means what llhttp takes it for; everything odd is left to that."""

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.relay import plain

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id:  req_1 \r\nContent-Length: 2\r\n\r\n"
ODD = {
    "cut": HEAD[:-1],
    "chunked": HEAD.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked"),
    "twice": HEAD.replace(b"\r\n\r\n", b"\r\ncontent-length: 2\r\n\r\n"),
    "no length": HEAD.replace(b"Content-Length: 2\r\n", b""),
    "no number": HEAD.replace(b": 2\r\n", b": 2x\r\n"),
    "no body": HEAD.replace(b"200 OK", b"204 No Content"),
    "informational": HEAD.replace(b"200 OK", b"103 Early Hints"),
    "older": HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "folded": HEAD.replace(b"\r\nX-", b"\r\n folded\r\nX-"),
    "upgrade": HEAD.replace(b"X-Request-Id", b"Upgrade"),
}


def test_a_plain_head_is_taken():
    head = plain.read(HEAD + b"{}")
    assert head is not None
    assert (head.status, head.size, head.length, head.keeps) == (200, len(HEAD), 2, True)
    assert head.headers == {"content-type": "application/json", "x-request-id": "req_1", "content-length": "2"}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_head_is_left_to_llhttp(name):
    assert plain.read(ODD[name]) is None


class Read:
    """What llhttp makes of the same bytes."""

    def __init__(self, data):
        self.headers = {}
        parser = httptools.HttpResponseParser(self)
        parser.feed_data(data)
        self.status = parser.get_status_code()

    def on_header(self, name, value):
        self.headers[name.decode().lower()] = value.decode("latin-1").strip(" \t")


@given(st.lists(st.sampled_from([*ODD.values(), HEAD, b"\r\n", b"X: 1\r\n", b": ", b"\0", b"\xe9"]), max_size=4))
@example([HEAD, b"{}"])
def test_whatever_is_taken_llhttp_takes_for_the_same(pieces):
    data = b"".join(pieces)
    head = plain.read(data)
    if head is not None:
        read = Read(data[: head.size])
        assert (read.status, read.headers) == (head.status, head.headers)
