"""Whatever is sent, the answer is the caller's error, never a 500, and the provider hears nothing of it."""

import gzip
import json
from contextlib import suppress

import pytest
import zstandard

from tests.api.wire import request, say
from tests.faults.test_database_away import Gaps

RIGHT = b'{"model":"sim-1","input":"x"}'
JSON = "Content-Type: application/json"
LIMIT = 32 << 20
CREATES = ["/v1/responses", "/v1/responses/compact", "/v1/responses/input_tokens", "/v1/chat/completions"]
MESSAGES = ["/v1/messages", "/v1/messages/count_tokens"]

UNSOUND = {
    "nothing": b"",
    "text": b"hello",
    "half": RIGHT[:-1],
    "an array": b"[]",
    "a string": b'"x"',
    "a number": b"5",
    "null": b"null",
    "a BOM": b"\xef\xbb\xbf" + RIGHT,
    "UTF-16": RIGHT.decode().encode("utf-16"),
    "NaN": b'{"model":"sim-1","input":NaN}',
    "Infinity": b'{"model":"sim-1","input":"x","temperature":-Infinity}',
    "trailing bytes": RIGHT + b"x",
    "two bodies": RIGHT + RIGHT,
    "a trailing comma": b'{"model":"sim-1",}',
    "a comment": b'{"model":"sim-1"/*x*/}',
    "single quotes": b"{'model':'sim-1'}",
    "broken UTF-8": b'{"model":"sim-1","input":"\xff"}',
    "a bare control character": b'{"model":"sim-1","input":"\x01"}',
    "a lone surrogate as model": rb'{"model":"sim-\ud800","input":"x"}',
    "a lone surrogate in a reference": rb'{"model":"sim-1","input":"x","previous_response_id":"\udc00"}',
    "a member twice": b'{"model":"sim-1","model":"sim-1","input":"x"}',
    "a member twice, escaped": rb'{"model":"sim-1","m\u006fdel":"sim-2","input":"x"}',
    "a member twice, between others": b'{ "stream": false, "model": "sim-1", "input": "x", "stream": true }',
    "an unknown member twice": b'{"model":"sim-1","x":{"a":[1,2]},"input":"x","x":1}',
    "an empty name twice": b'{"":1,"model":"sim-1","":2}',
    "100,000 arrays deep": b'{"model":"sim-1","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects deep": b'{"model":"sim-1","input":' + b'[{"id":' * 100_000 + b"1" + b"}]" * 100_000 + b"}",
    "deep in an unknown member": b'{"model":"sim-1","input":"x","x":' + b'{"x":' * 60_000 + b"1" + b"}" * 60_000 + b"}",
}
WRONG = {
    "stream is a string": ({"stream": "true"}, "stream", "invalid_type"),
    "stream is a number": ({"stream": 1}, "stream", "invalid_type"),
    "store is a number": ({"store": 1}, "store", "invalid_type"),
    "store is an object": ({"store": {}}, "store", "invalid_type"),
    "no model": ({"model": ...}, "model", "missing_required_parameter"),
    "a null model": ({"model": None}, "model", "missing_required_parameter"),
    "an empty model": ({"model": ""}, "model", "missing_required_parameter"),
    "a model that is a number": ({"model": 5}, "model", "invalid_type"),
    "a model that is a list": ({"model": ["sim-1"]}, "model", "invalid_type"),
}


@pytest.mark.acceptance("F-10", "F-11")
@pytest.mark.parametrize("path", [*CREATES, *MESSAGES, "/v1/conversations"])
@pytest.mark.parametrize("body", UNSOUND.values(), ids=UNSOUND)
def test_a_body_that_is_no_sound_json_object_is_refused(house, reached, path, body):
    answer = house.post(path, body)
    assert answer.status == 400
    if path in MESSAGES:
        assert answer.json()["error"]["type"] == "invalid_request_error"
    else:
        assert answer.json()["error"]["code"] == "invalid_json"
    assert reached() == []


@pytest.mark.parametrize("path", CREATES)
@pytest.mark.parametrize(("changes", "param", "code"), WRONG.values(), ids=WRONG)
def test_a_member_of_the_wrong_kind_is_named(house, reached, path, changes, param, code):
    body = {"model": "sim-1", "input": "x", "messages": []} | changes
    answer = house.post(path, {name: value for name, value in body.items() if value is not ...})
    error = answer.json()["error"]
    assert (answer.status, error["param"], error["code"]) == (400, param, code)
    assert reached() == []


@pytest.mark.parametrize(
    "name", ["\0", "sim-\0", "sim-1\n", "sim-\u2028", "sim-\u202e", "sim-\ue000", "sim-" + "1" * 197], ids=ascii
)
def test_a_models_name_that_no_model_has_is_not_found(house, reached, name):
    """A NUL that reached PostgreSQL's text would stop every record behind it; what calls name is kept in memory."""
    assert house.post("/v1/responses", {"model": name, "input": "x"}).status == 404
    assert reached() == []


def test_members_that_may_be_null_are_as_if_absent(house):
    assert house.post("/v1/responses", {"model": "sim-1", "input": "x", "stream": None, "store": None}).status == 200


@pytest.mark.acceptance("F-10", "K-6")
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx"]
)
def test_another_media_type_is_refused(house, reached, kind):
    answer = house.post("/v1/responses", RIGHT, content_type=kind)
    assert (answer.status, answer.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert reached() == []


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json", ""]
)
def test_json_by_any_of_its_names_is_taken(house, kind):
    assert house.post("/v1/responses", RIGHT, content_type=kind).status == 200


# -- compression --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("GZIP", gzip.compress), ("zstd", zstandard.compress)]
)
def test_a_compressed_body_is_undone_before_it_is_sent_on(house, reached, coding, compress):
    assert house.post("/v1/responses", compress(RIGHT), content_encoding=coding).status == 200
    (seen,) = reached()
    assert seen["body"] == RIGHT.decode()
    assert "content-encoding" not in dict(seen["headers"])


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", RIGHT, 400),
        ("gzip", gzip.compress(RIGHT, mtime=0)[:-9], 400),
        ("gzip", b"", 400),
        ("zstd", RIGHT, 400),
        ("zstd", zstandard.compress(RIGHT)[:-4], 400),
        ("br", RIGHT, 415),
        ("deflate", RIGHT, 415),
        ("gzip, gzip", gzip.compress(gzip.compress(RIGHT, mtime=0), mtime=0), 415),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_cannot_be_undone_is_refused(house, reached, coding, body, status):
    answer = house.post("/v1/responses", body, content_encoding=coding)
    assert answer.status == status
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert reached() == []


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_a_bomb_is_not_blown(house, reached, coding, compress):
    answer = house.post("/v1/responses", compress(b'{"a":"' + b" " * (200 << 20) + b'"}'), content_encoding=coding)
    assert answer.status == 413
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert reached() == []


# -- size and time ------------------------------------------------------------------------------------------------
@pytest.mark.acceptance("F-3")
def test_a_body_over_the_limit_is_refused_before_it_is_read(house, reached):
    heard = say(house.port, request(house.tokens["alice"], JSON, f"Content-Length: {LIMIT + 1}"), until=b"}}")
    assert heard.statuses == [413]
    assert b'"request_too_large"' in heard.body
    assert heard.seconds < 1
    assert reached() == []


@pytest.mark.acceptance("F-3")
def test_a_body_over_the_limit_is_refused_not_cut_when_it_comes_in_chunks(house, reached):
    start = b'{"model":"sim-1","input":"x","pad":"' + b" " * (LIMIT - 40)
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (start, b" " * 100, b'"}')) + b"0\r\n\r\n"
    heard = say(house.port, request(house.tokens["alice"], JSON, "Transfer-Encoding: chunked", body=body), until=b"}}")
    assert heard.statuses == [413]
    assert reached() == []


def test_a_body_of_the_limit_is_taken(house, reached):
    body = b'{"model":"sim-1","input":"x","pad":"' + b" " * (LIMIT - 38) + b'"}'
    assert len(body) == LIMIT
    assert house.post("/v1/responses", body).status == 200
    assert reached()[0]["body_length"] == LIMIT


@pytest.mark.acceptance("F-3")
def test_a_body_that_stops_coming_is_waited_for_no_longer_than_the_deadline(house, reached):
    heard = say(house.port, request(house.tokens["alice"], JSON, "Content-Length: 100", body=RIGHT), until=b"}}")
    assert heard.statuses == [408]
    assert b'"request_timeout"' in heard.body
    assert 0.9 < heard.seconds < 4
    assert reached() == []


@pytest.mark.acceptance("F-3")
@pytest.mark.parametrize(
    "framed",
    [
        ("Content-Length: 100", RIGHT),
        ("Transfer-Encoding: chunked", b"5\r\n{"),
        ("Transfer-Encoding: chunked", b"1d\r\n" + RIGHT),
        ("Transfer-Encoding: chunked", b"1d\r\n" + RIGHT + b"\r\n"),
        ("Transfer-Encoding: chunked", b"zz\r\n" + RIGHT + b"\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"5\r\n" + RIGHT + b"\r\n0\r\n\r\n"),
    ],
    ids=["short", "half a chunk", "no end of a chunk", "no last chunk", "no size", "a wrong size"],
)
def test_a_body_that_ends_before_its_end_is_refused(house, reached, framed):
    line, body = framed
    heard = say(house.port, request(house.tokens["alice"], JSON, line, body=body), then_end=True)
    assert heard.statuses == [400]
    assert b'"invalid_json"' in heard.body
    assert heard.closed
    assert reached() == []


def test_an_unread_body_never_becomes_the_next_request(house, reached):
    """Of a refused call the body is skipped or the connection ends: it is never read as a request."""
    smuggled = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + house.tokens["alice"].encode()
    inner = smuggled + b"\r\n\r\n"
    for line in ("PUT /v1/responses HTTP/1.1", "GET /v1/models HTTP/1.1", "POST /v1/nope HTTP/1.1"):
        sent = request(house.tokens["alice"], f"Content-Length: {len(inner)}", line=line, body=inner)
        assert len(say(house.port, sent, seconds=0.5).statuses) == 1


@pytest.mark.acceptance("E-1")
def test_nothing_that_a_body_says_changes_where_a_call_goes(house, reached):
    body = json.loads(RIGHT) | {"api_base": "http://evil.example", "base_url": "http://evil.example", "host": "evil"}
    headers = {"host": "evil.example", "x_forwarded_host": "evil.example"}
    assert house.post("/v1/responses", body, **headers).status == 200
    (seen,) = reached()
    assert seen["path"] == "/v1/responses"
    assert dict(seen["headers"])["host"] == f"127.0.0.1:{house.provider.port}"


def pointing(url):
    """Bodies with an address in every place where a protocol has one."""
    said = [{"type": "input_image", "image_url": url}, {"type": "input_file", "file_url": url}]
    shown = [{"type": "image_url", "image_url": {"url": url}}, {"type": "file", "file": {"file_url": url}}]
    source = {"type": "url", "url": url}
    held = [{"type": "image", "source": source}, {"type": "document", "source": source}]
    return {
        "/v1/responses": {
            "model": "sim-1",
            "input": [{"role": "user", "content": said}],
            "tools": [{"type": "mcp", "server_label": "x", "server_url": url}],
        },
        "/v1/chat/completions": {"model": "sim-1", "messages": [{"role": "user", "content": shown}]},
        "/v1/messages": {
            "model": "claude-1",
            "max_tokens": 9,
            "messages": [{"role": "user", "content": held}],
            "mcp_servers": [{"type": "url", "name": "x", "url": url}],
        },
    }


@pytest.mark.acceptance("E-8")
def test_no_address_that_stands_in_a_body_is_ever_fetched(house, reached):
    bodies = pointing(f"{house.provider.url}/canary")
    for path, body in bodies.items():
        assert house.post(path, body | {"base_url": f"{house.provider.url}/canary"}).status in {200, 400}
    assert [seen["path"] for seen in reached()] == list(bodies), "each body, and nothing that it points at"


@pytest.mark.acceptance("F-3")
@pytest.mark.parametrize("who", ["alice", "nobody"])
@pytest.mark.parametrize("line", ["Transfer-Encoding: chunked", f"Content-Length: {40 << 20}"])
def test_a_body_that_nobody_reads_holds_nobody_up(house, reached, who, line):
    """gunicorn looks for the next request behind it a kilobyte at a time, and copies a megabyte for each."""
    piece = b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20)) if "chunked" in line else b" " * (1 << 20)
    sent = request(house.tokens.get(who, "sk_nobodys"), JSON, line, body=piece * 40)
    with Gaps(house) as gaps, suppress(BrokenPipeError, ConnectionResetError):
        heard = say(house.port, sent + (b"0\r\n\r\n" if "chunked" in line else b""), until=b"}}")
        assert heard.statuses == [413 if who == "alice" else 401]
    assert gaps.worst < 1
    assert reached() == []
