"""Requests whose end is a matter of opinion: refused, the connection ended, and what follows is never answered."""

import pytest

from tests.api.wire import request, say

BODY = b'{"model":"sim-1","input":"x"}'
CHUNKED = b"1d\r\n" + BODY + b"\r\n0\r\n\r\n"
LENGTH = "Content-Length: 29"
JSON = "Content-Type: application/json"
SECOND = "GET /v1/models HTTP/1.1"

AMBIGUOUS = {
    "length, then chunked": ([LENGTH, "Transfer-Encoding: chunked"], CHUNKED),
    "chunked, then length": (["Transfer-Encoding: chunked", LENGTH], CHUNKED),
    "no length, and chunked": (["Content-Length: 0", "Transfer-Encoding: chunked"], CHUNKED),
    "two lengths": ([LENGTH, "Content-Length: 0"], BODY),
    "the same length twice": ([LENGTH, LENGTH], BODY),
    "a list of lengths": (["Content-Length: 29, 29"], BODY),
    "a length with a plus": (["Content-Length: +29"], BODY),
    "a length below zero": (["Content-Length: -1"], BODY),
    "a length in hex": (["Content-Length: 0x1d"], BODY),
    "a length with an underscore": (["Content-Length: 2_9"], BODY),
    "a length of other digits": (["Content-Length: \xb2\xb9"], BODY),
    "no length at all": (["Content-Length:"], BODY),
    "chunked, identity": (["Transfer-Encoding: chunked, identity"], CHUNKED),
    "chunked twice": (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], CHUNKED),
    "chunked after an x": (["Transfer-Encoding: xchunked"], CHUNKED),
    "chunked in quotes": (['Transfer-Encoding: "chunked"'], CHUNKED),
    "chunked with a vertical tab": (["Transfer-Encoding:\x0bchunked"], CHUNKED),
    "a space before the colon": (["Transfer-Encoding : chunked"], CHUNKED),
    "a folded header": (["Transfer-Encoding:\r\n chunked"], CHUNKED),
    "a folded name": (["X: y\r\n Transfer-Encoding: chunked"], CHUNKED),
    "a bare line feed": (["X: y\nTransfer-Encoding: chunked"], CHUNKED),
    "a bare carriage return": (["X: y\rTransfer-Encoding: chunked"], CHUNKED),
    "a NUL in a value": (["X: y\x00z", LENGTH], BODY),
    "a NUL in a name": (["X\x00Y: z", LENGTH], BODY),
    "a name in brackets": (["X[Y]: z", LENGTH], BODY),
    "no name": ([": z", LENGTH], BODY),
    "no colon": (["Transfer-Encoding chunked", LENGTH], BODY),
    "two hosts": (["Host: evil.example", LENGTH], BODY),
    "a chunk's size that overflows": (
        ["Transfer-Encoding: chunked"],
        b"1000000000000001d\r\n" + BODY + b"\r\n0\r\n\r\n",
    ),
    "a chunk's size below zero": (["Transfer-Encoding: chunked"], b"-1d\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size with 0x": (["Transfer-Encoding: chunked"], b"0x1d\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size with a space": (["Transfer-Encoding: chunked"], b" 1d\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk's size with an underscore": (["Transfer-Encoding: chunked"], b"1_d\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk without its end": (["Transfer-Encoding: chunked"], b"1d\r\n" + BODY + b"0\r\n\r\n"),
    "a chunk that ends in LF": (["Transfer-Encoding: chunked"], b"1d\n" + BODY + b"\n0\n\n"),
    "a megabyte of chunk extension": (
        ["Transfer-Encoding: chunked"],
        b"1d;x=" + b"y" * (1 << 20) + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    ),
    "a carriage return in an extension": (["Transfer-Encoding: chunked"], b"1d;x=\ry\r\n" + BODY + b"\r\n0\r\n\r\n"),
}
"""Header lines and a body, on which two servers in a row could disagree."""


@pytest.mark.acceptance("F-1")
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_answered(house, reached, name):
    token = house.tokens["alice"]
    lines, body = AMBIGUOUS[name]
    heard = say(house.port, request(token, JSON, *lines, body=body) + request(token, line=SECOND))
    assert len(heard.statuses) == 1
    assert heard.statuses[0] in {400, 408, 413, 431, 501}
    assert heard.closed
    assert b'"object":"list"' not in heard.data
    assert reached() == []


LINES = {
    "chunked in HTTP/1.0": ("POST /v1/responses HTTP/1.0", ["Transfer-Encoding: chunked"], CHUNKED),
    "HTTP/2's preface": ("PRI * HTTP/2.0", [], b""),
    "HTTP/0.9": ("GET /v1/models", [], b""),
    "no path": ("GET  HTTP/1.1", [], b""),
    "a space in the path": ("GET /v1/models /x HTTP/1.1", [], b""),
    "a tab for a space": ("GET\t/v1/models\tHTTP/1.1", [], b""),
    "a method in small letters": ("get /v1/models HTTP/1.1", [], b""),
    "the authority's form": ("CONNECT evil.example:80 HTTP/1.1", [], b""),
    "the asterisk": ("OPTIONS * HTTP/1.1", [], b""),
    "a line of 9 KB": (f"GET /v1/models?{'x' * 9000} HTTP/1.1", [], b""),
    "a header of 9 KB": ("GET /v1/models HTTP/1.1", ["X: " + "y" * 9000], b""),
    "101 headers": ("GET /v1/models HTTP/1.1", [f"X-{n}: y" for n in range(101)], b""),
}


@pytest.mark.acceptance("F-2", "F-4")
@pytest.mark.parametrize("name", LINES)
def test_a_line_that_is_none_is_refused(house, reached, name):
    line, lines, body = LINES[name]
    heard = say(house.port, request(house.tokens["alice"], *lines, line=line, body=body), seconds=3)
    assert len(heard.statuses) == 1
    assert 400 <= heard.statuses[0] < 600
    assert heard.statuses[0] != 500
    assert reached() == []


def test_a_right_chunked_body_with_extension_and_trailer_is_taken_and_its_trailer_is_not_believed(house, reached):
    body = b'1d;name="value"\r\n' + BODY + b"\r\n0\r\nX-Api-Key: x\r\nX-Codex-Y: z\r\n\r\n"
    sent = request(house.tokens["alice"], JSON, "Transfer-Encoding: chunked", "Connection: close", body=body)
    heard = say(house.port, sent)
    assert heard.statuses in ([200], [400])
    for seen in reached():
        assert "x-codex-y" not in dict(seen["headers"])


@pytest.mark.acceptance("G-15")
def test_two_requests_on_one_connection_are_two(house, reached):
    token = house.tokens
    first = request(token["alice"], JSON, LENGTH, "X-Request-Id: first", body=BODY)
    second = request(
        token["bob"], "X-Request-Id: second", "Connection: close", line="GET /v1/chat/completions HTTP/1.1"
    )
    heard = say(house.port, first + second)
    assert heard.statuses == [200, 200]
    assert heard.data.index(b"x-request-id: first") < heard.data.index(b"x-request-id: second")
    assert len(reached()) == 1


@pytest.mark.acceptance("G-15")
def test_nothing_of_one_caller_is_left_for_the_next_on_the_same_connection(house, reached):
    """One greenlet serves a connection; behind a proxy the next request is another user's."""
    token = house.tokens
    alices = request(token["alice"], JSON, LENGTH, "X-Request-Id: alices", body=BODY)
    nobodys = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
    junk = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nx-api-key: sk_nothing\r\nConnection: close\r\n\r\n"
    heard = say(house.port, alices + nobodys + junk)
    assert heard.statuses == [200, 401, 401]
    assert heard.data.count(b"alices") == 1
