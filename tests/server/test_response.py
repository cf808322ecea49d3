"""The heads of responses are gunicorn's own, to the byte."""

import re

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import InvalidResponseHeader
from gunicorn.http.wsgi import Response as Gunicorns

from app.server.response import Response, chunk

CASES = {
    "json": ("200 OK", [("content-type", "application/json"), ("content-length", "2")]),
    "stream": ("200 OK", [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]),
    "no content": ("204 NO CONTENT", [("content-length", "0"), ("x-request-id", "r")]),
    "not modified": ("304 NOT MODIFIED", [("etag", '"x"')]),
    "redirect": (
        "302 FOUND",
        [("Location", "/login?next=%2F"), ("Content-Length", "5"), ("Set-Cookie", "a=b; Path=/")],
    ),
    "hop by hop": ("426 UPGRADE REQUIRED", [("upgrade", "HTTP/1.1"), ("connection", "x"), ("content-length", "0")]),
    "latin-1": ("200 OK", [("x-name", "caf\xe9"), ("content-length", "0")]),
    "no headers": ("599 Unknown", []),
}


class Sock:
    def __init__(self):
        self.data = b""

    def sendall(self, data):
        self.data += data


class Request:
    version = (1, 1)

    def __init__(self, method, closes):
        self.method = method
        self.closes = closes

    def should_close(self):
        return self.closes


def gunicorns(method, status, headers, *, closes, pieces):
    sock = Sock()
    response = Gunicorns(Request(method, closes), sock, Config())
    response.start_response(status, headers)
    for piece in pieces:
        response.write(piece)
    response.close()
    return sock.data


def ours(method, status, headers, *, closes, pieces):
    response = Response(method, closes=closes)
    response.start(status, headers)
    begun = response.head()
    return begun + b"".join(map(response.framed, pieces)) + response.last


def without_date(data):
    return re.sub(rb"Date: [^\r]+", b"Date:", data)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_response_is_gunicorns_to_the_byte(name, method, closes):
    status, headers = CASES[name]
    sized = dict(headers).get("content-length") or dict(headers).get("Content-Length")
    pieces = [b"x" * int(sized)] if sized else [b"one", b"", b"two"]
    if status.startswith(("204", "304")):
        pieces = []
    told = {"closes": closes, "pieces": pieces}
    assert without_date(ours(method, status, headers, **told)) == without_date(
        gunicorns(method, status, headers, **told)
    )


@pytest.mark.parametrize(
    "header", [("x", "a\r\nSet-Cookie: b"), ("x\r\ny", "z"), ("x", "a\nb"), ("x y", "z"), ("x", "\0")]
)
def test_a_header_that_would_end_the_head_is_never_sent(header):
    response = Response("GET", closes=False)
    response.start("200 OK", [header])
    with pytest.raises(InvalidResponseHeader):
        response.head()


def test_an_error_may_replace_what_was_not_sent_yet():
    response = Response("GET", closes=False)
    response.start("200 OK", [("content-length", "1")])
    response.start("500 INTERNAL SERVER ERROR", [("content-length", "0")], (None, None, None))
    assert response.head().startswith(b"HTTP/1.1 500 ")


def test_the_write_of_old_is_refused():
    with pytest.raises(RuntimeError):
        Response("GET", closes=False).start("200 OK", [])(b"x")


def test_a_chunk_states_its_length():
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
