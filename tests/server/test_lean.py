"""Two ways through the server, one answer: raw requests get the same bytes from gunicorn's code and from ours."""

import json
import re
import select
import socket
import time

import pytest

from tests import live
from tests.api.wire import request, say
from tests.faults.clients import CHAT, TALKS, Client, events, name_of
from tests.live import until

BODY = b'{"model":"sim-1","input":"x"}'
LENGTH = f"Content-Length: {len(BODY)}"
JSON = "Content-Type: application/json"
CLOSE = "Connection: close"
SAID = {
    "a call": lambda token: request(token, JSON, LENGTH, CLOSE, body=BODY),
    "two calls": lambda token: request(token, JSON, LENGTH, body=BODY) + request(token, JSON, LENGTH, CLOSE, body=BODY),
    "a chunked call": lambda token: request(
        token, JSON, "Transfer-Encoding: chunked", CLOSE, body=b"1d\r\n" + BODY + b"\r\n0\r\n\r\n"
    ),
    "a plain one, then a strange one": lambda token: (
        request(token, JSON, LENGTH, body=BODY) + request(token, JSON, LENGTH, "Session_Id: x", CLOSE, body=BODY)
    ),
    "no token": lambda _: request("nothing", JSON, LENGTH, CLOSE, body=BODY),
    "no such model": lambda token: request(
        token, JSON, "Content-Length: 29", CLOSE, body=b'{"model":"none1","input":"x"}'
    ),
    "not JSON": lambda token: request(token, JSON, "Content-Length: 4", CLOSE, body=b"nope"),
    "an unread body": lambda token: request(
        token, JSON, "Content-Length: 300000", CLOSE, body=b"x" * 300_000, line="POST /v1/nowhere HTTP/1.1"
    ),
    "a probe": lambda token: request(token, CLOSE, line="HEAD / HTTP/1.1"),
    "a page": lambda token: request(token, CLOSE, line="GET /livez HTTP/1.1"),
    "a redirect": lambda token: request(token, CLOSE, line="GET /tokens HTTP/1.1"),
    "models": lambda token: request(token, CLOSE, line="GET /v1/models HTTP/1.1"),
    "an unknown object": lambda token: request(token, CLOSE, line="DELETE /v1/responses/resp_none HTTP/1.1"),
    "a method that isn't there": lambda token: request(
        token, "Content-Length: 0", CLOSE, line="POST /v1/models HTTP/1.1"
    ),
    "a bad line": lambda token: request(token, CLOSE, line="GET  /v1/models HTTP/1.1"),
    "a static file": lambda token: request(token, CLOSE, line="GET /static/realms.css HTTP/1.1"),
    "HTTP/1.0": lambda token: request(token, line="GET /livez HTTP/1.0"),
}
CHANGES = re.compile(
    rb"(?im)^(date: .*|x-request-id: .*|set-cookie: .*|last-modified: .*|etag: .*)$"
    rb"|127\.0\.0\.1:[0-9]+|(resp|msg|rs|req|fc|chatcmpl)_?-?[0-9a-f]{8,}|\"(?:created|completed)(?:_at)?\": ?[0-9.]+|[0-9a-f-]{32,}|nonce-[^']+"
)


def heard(house, name):
    answer = say(house.port, SAID[name](house.tokens["alice"]))
    return CHANGES.sub(b"?", answer.data), answer.closed


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (f"GET /v1/conversations/{'x' * 9000} HTTP/1.1", [], 414),
        ("GET  /v1/models HTTP/1.1", [], 400),
        ("GET /v1/models HTTP/1.1", [f"X-{n}: y" for n in range(200)], 431),
    ],
    ids=["too long", "wrong", "too many headers"],
)
def test_what_is_refused_before_it_is_a_request_is_told_in_json(houses, line, headers, status):
    for house in houses:
        (said,) = say(house.port, request(house.tokens["alice"], *headers, line=line)).data.split(b"\r\n\r\n")[1:]
        answer = say(house.port, request(house.tokens["alice"], *headers, line=line))
        assert answer.statuses == [status]
        assert b"Content-Type: application/json" in answer.data
        told = json.loads(said)
        assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
        assert told["error"].keys() == {"message", "type", "param", "code"}
        assert answer.closed


@pytest.mark.parametrize("name", SAID)
def test_both_ways_say_the_same(houses, sim, name):
    lean, plain = houses
    assert heard(lean, name) == heard(plain, name)


BEATS = (b": ping\n\n", b'event: ping\ndata: {"type": "ping"}\n\n')


def body_of(stream):
    for beat in BEATS:
        stream = stream.replace(beat, b"")
    return CHANGES.sub(b"?", stream)


@pytest.mark.parametrize("talk", TALKS, ids=name_of)
@pytest.mark.parametrize("options", ["events=30", "events=5,gap=0.02", "events=5,fault=no_terminal:3"])
def test_streams_are_the_same_too(houses, sim, talk, options):
    bodies = []
    for house in houses:
        with Client(house) as client:
            bodies.append(body_of(client.send(talk, options).rest()))
    assert bodies[0] == bodies[1]


@pytest.mark.acceptance("G-11")
@pytest.mark.parametrize("talk", TALKS, ids=name_of)
def test_a_silent_stream_shows_that_it_is_alive_between_events(houses, sim, talk):
    beat = BEATS[talk.name == "messages"]
    for house in houses:
        with Client(house) as client:
            client.send(talk, "events=3,gap=0.8")
            whole = client.rest()
        assert whole.count(beat) >= 2
        assert talk.ends in whole
        assert all(b"\n\n" in piece or not piece for piece in whole.split(beat))


@pytest.mark.parametrize("talk", TALKS, ids=name_of)
def test_an_upstream_that_thinks_long_before_it_begins_is_waited_for_aloud(houses, sim, talk):
    beat = BEATS[talk.name == "messages"]
    for house in houses:
        with Client(house) as client:
            whole = client.send(talk, "events=3,ttfb=1").rest()
            assert whole.startswith(beat)
            assert talk.ends in whole
            assert house.record(client.request_id)["end"] == "completed"
            assert CHAT.ends in client.send(CHAT, "events=3").rest()


@pytest.mark.parametrize("talk", TALKS, ids=name_of)
def test_what_fails_after_a_heartbeat_is_told_in_the_stream(houses, sim, talk):
    for house in houses:
        with Client(house) as client:
            whole = client.send(talk, "ttfb=1,status=400").rest()
            name, told = events(whole)[-1]
            assert client.answer.status == 200
            assert "error" in (name, told.get("type"), *told)
            assert house.record(client.request_id)["end"] == "refused"


def test_a_client_that_leaves_before_the_stream_began_is_noticed_after_a_heartbeat_too(houses, sim):
    for house in houses:
        since = sim.count()
        with Client(house) as client:
            client.send(CHAT, "fault=hang_accept").read_until(BEATS[0])
            client.leave()
            until(lambda since=since: sim.requests(since)[0]["end"] == "client_left", seconds=2)
            assert house.record(client.request_id)["end"] == "client_left"


def test_a_connection_that_says_nothing_more_is_closed_in_time(provider, tmp_path):
    with (
        live.database("sqlite", tmp_path, "") as url,
        live.open_house(tmp_path, url, provider, keepalive_s="1") as house,
    ):
        with socket.create_connection(("127.0.0.1", house.port), timeout=10) as sock:
            since = time.monotonic()
            assert sock.recv(1) == b""
            assert time.monotonic() - since < 4


def test_a_stream_over_a_kept_connection_leaves_it_ready_for_the_next_call(houses, sim):
    for house in houses:
        with Client(house) as client:
            for _ in range(3):
                assert CHAT.ends in client.send(CHAT, "events=5,gap=0.01").rest()
                assert b"chat.completion" in client.send(CHAT, stream=False).rest()


def test_a_body_that_comes_slowly_is_read_and_one_that_stops_is_refused(houses, sim):
    for house in houses:
        head = request(house.tokens["alice"], JSON, LENGTH, CLOSE)
        with socket.create_connection(("127.0.0.1", house.port), timeout=10) as sock:
            sock.sendall(head + BODY[:5])
            time.sleep(0.1)
            sock.sendall(BODY[5:])
            assert sock.recv(100).startswith(b"HTTP/1.1 200")


def test_a_body_that_comes_byte_by_byte_for_ever_is_refused(provider, tmp_path):
    for fast in ("1", "0"):
        folder = tmp_path / fast
        folder.mkdir()
        with live.database("sqlite", folder, "") as url:
            with live.open_house(folder, url, provider, fast=fast, body_s="0.5") as house:
                head = request(house.tokens["alice"], JSON, LENGTH, CLOSE)
                with socket.create_connection(("127.0.0.1", house.port), timeout=10) as sock:
                    sock.sendall(head)
                    sent = 0
                    while sent < len(BODY) - 1 and not select.select([sock], [], [], 0.1)[0]:
                        sock.sendall(BODY[sent : sent + 1])
                        sent += 1
                    assert sock.recv(100).startswith(b"HTTP/1.1 408")
                    assert sent < len(BODY) - 1


@pytest.mark.acceptance("F-3")
def test_a_refused_call_whose_body_never_ends_is_answered_and_hung_up_on(houses):
    """Whoever sends as fast as it is read would otherwise keep the worker to itself, and needs no token for it."""
    for house in houses:
        endless = request("sk_nobodys", JSON, f"Content-Length: {1 << 49}")
        with socket.create_connection(("127.0.0.1", house.port), timeout=10) as sock:
            sock.sendall(endless)
            assert sock.recv(100).startswith(b"HTTP/1.1 401")
            since = time.monotonic()
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                while time.monotonic() < since + 10:
                    sock.sendall(b" " * (1 << 20))


def test_nothing_broke_in_either(houses):
    for house in houses:
        assert "Traceback" not in house.log.read_text()
