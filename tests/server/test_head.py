"""What the lean way takes of requests is what gunicorn takes, and means the same there."""

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from app.api.asked import KNOWN
from app.server import head
from tests.api.test_smuggling import AMBIGUOUS, LINES
from tests.api.wire import request

PLAIN = (
    b"POST /v1/responses?include[]=x&b=%2f HTTP/1.1\r\nHost: realms.example.com\r\nauthorization: Bearer sk_x\r\n"
    b"Content-Type: application/json\r\nX-Stainless-Lang:python\r\nx-empty:\r\nAccept: \t*/* \r\nContent-Length: 2\r\n\r\n"
)
OURS = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "RAW_URI", "CONTENT_TYPE", "CONTENT_LENGTH")
PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"\x7f", b"\xe9", b"_", b"#", b"%", b"//", b"?", b";", b"\\",
    b"Host: evil.example\r\n", b"Content-Length: 3\r\n", b"Content-Length: +2\r\n", b"Content-Length: 2,2\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\n", b"Session_Id: x\r\n", b" folded\r\n", b"X Y: z\r\n", b": z\r\n", b"GET", b"HTTP/1.0",
    b"Script-Name: /x\r\n", b"X-A: 1\r\nx-a: 2\r\n", b"/../", b"http://evil.example/",
]  # fmt: skip


def gunicorns(data):
    """The environ that gunicorn makes of a request, and whether it ends the connection; None where it refuses it."""
    config, client, server = Config(), ("127.0.0.1", 5000), ("127.0.0.1", 8080)
    config.set("http_parser", "python")
    config.set("secure_scheme_headers", {})
    try:
        parsed = next(RequestParser(config, iter([data]), client))
    except Exception:
        return None
    _, environ = wsgi.create(parsed, None, client, server, config)
    return {
        key: value for key, value in environ.items() if key in OURS or key.startswith("HTTP_")
    }, parsed.should_close()


def ours(data):
    found = head.read(data)
    return found and ({key: value for key, value in found.environ.items() if key != KNOWN}, found.closes)


def assert_the_same_or_left_to_gunicorn(data):
    taken = ours(data)
    if taken is not None:
        assert taken == gunicorns(data)


def test_a_plain_request_is_taken():
    found = head.read(PLAIN + b"{}")
    assert found is not None
    assert (found.size, found.length, found.closes) == (len(PLAIN), 2, False)
    assert ours(PLAIN) == gunicorns(PLAIN)


def test_the_same_head_with_another_length_is_read_anew_where_it_differs_and_nowhere_else():
    first, longer = head.read(PLAIN), head.read(PLAIN.replace(b"Content-Length: 2", b"Content-Length: 1234"))
    assert (longer.length, longer.size, longer.environ["CONTENT_LENGTH"]) == (1234, len(PLAIN) + 3, "1234")
    assert longer.environ[KNOWN] is first.environ[KNOWN]
    assert ours(PLAIN) == gunicorns(PLAIN)
    assert head.read(PLAIN.replace(b"Content-Length: 2", b"Content-Length: 02")).environ["CONTENT_LENGTH"] == "2"


def test_another_head_shares_nothing_with_it():
    for other in (PLAIN.replace(b"sk_x", b"sk_y"), PLAIN.replace(b"Content-Length: 2", b"Content-Length: ")):
        found = head.read(other)
        assert found is None or found.environ[KNOWN] is not head.read(PLAIN).environ[KNOWN]


@pytest.mark.parametrize("size", range(0, len(PLAIN), 7))
def test_a_head_that_is_not_whole_is_not_taken(size):
    assert head.read(PLAIN[:size]) is None


@pytest.mark.acceptance("F-1")
@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_never_taken(name):
    lines, body = AMBIGUOUS[name]
    data = request("sk_x", "Content-Type: application/json", *lines, body=body)
    if ours(data) is not None:
        assert ours(data) == gunicorns(data)
        assert "chunk" in name  # only the framing of the body itself could be at fault, and that is not read here


def test_no_strange_line_is_taken():
    for line, lines, body in LINES.values():
        assert ours(request("sk_x", *lines, line=line, body=body)) is None


@pytest.mark.parametrize("closing", [b"close", b"Close", b"keep-alive", b"Keep-Alive"])
def test_what_the_client_wants_of_its_connection_is_kept_to(closing):
    data = PLAIN.replace(b"Host:", b"Connection: " + closing + b"\r\nHost:")
    assert ours(data) == gunicorns(data)


edits = st.lists(st.tuples(st.integers(0, len(PLAIN)), st.sampled_from(PIECES), st.integers(0, 4)), max_size=3)


@given(edits)
@example([(len(PLAIN), b"\r\n", 2)])
def test_whatever_is_put_into_a_request_it_means_what_gunicorn_takes_it_for(changes):
    data = PLAIN
    for at, piece, instead_of in changes:
        data = data[:at] + piece + data[at + instead_of :]
    assert_the_same_or_left_to_gunicorn(data + b"{}")


@given(st.binary(max_size=300))
def test_no_bytes_at_all_break_it(data):
    assert_the_same_or_left_to_gunicorn(data)
    assert_the_same_or_left_to_gunicorn(b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n")


def test_a_head_of_more_than_gunicorns_limits_is_left_to_it():
    long = PLAIN.replace(b"x-empty:", b"x-long: " + b"y" * head.HEAD_MAX)
    many = PLAIN.replace(b"x-empty:\r\n", b"".join(b"x-%d: y\r\n" % n for n in range(101)))
    assert (ours(long), ours(many)) == (None, None)
