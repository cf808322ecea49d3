"""A client that leaves is noticed in every phase, its upstream call is closed, and the record says so."""

import array
import fcntl
import json
import socket
import struct
import termios
import time

import pytest

from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, Client, call, name_of
from tests.live import until

NOTICED_S = 1.0
talks = pytest.mark.parametrize("talk", TALKS, ids=name_of)
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])
SECOND = b"GET /v1/models HTTP/1.1\r\nhost: realms\r\n\r\n"
"""A request that lies unread behind the one under way."""


def reached(sim, since):
    """The one request that came to the provider after number `since`, once it has."""
    (request,) = until(lambda: sim.requests(since))
    return request


def assert_noticed(house, sim, client, number):
    """Leave now: the provider sees its connection end within a second, and the record tells why."""
    left = time.time()
    client.leave()
    request = until(lambda: (now := sim.requests(number - 1)[0])["end"] != "open" and now)
    assert request["end"] == "client_left"
    assert request["finished"] - left <= NOTICED_S
    record = house.record(client.request_id)
    assert (record["end"], record["status"]) == ("client_left", 499)
    return record


@pytest.mark.acceptance("G-9")
@talks
@both
@pytest.mark.parametrize("behind", [b"", SECOND], ids=["alone", "pipelined"])
def test_leaving_before_the_answer_begins_is_noticed(house, sim, talk, stream, behind):
    since = sim.count()
    with Client(house) as client:
        client.send(talk, "fault=hang_accept", stream=stream).sock.sendall(behind)
        assert_noticed(house, sim, client, reached(sim, since)["n"])


@talks
def test_leaving_while_the_rest_of_a_plain_answer_is_awaited_is_noticed(house, sim, talk):
    since = sim.count()
    with Client(house) as client:
        client.send(talk, "fault=hang_headers", stream=False)
        assert_noticed(house, sim, client, reached(sim, since)["n"])


@pytest.mark.acceptance("G-9")
@talks
@pytest.mark.parametrize("behind", [b"", SECOND], ids=["alone", "pipelined"])
def test_leaving_between_events_is_noticed(house, sim, talk, behind):
    since = sim.count()
    with Client(house) as client:
        client.send(talk, "events=10,fault=hang_after:3").sock.sendall(behind)
        client.read_until(b"\n\n", times=3)
        record = assert_noticed(house, sim, client, reached(sim, since)["n"])
    assert record["usage_state"] == ("partial" if talk is MESSAGES else "estimated")
    assert record["input_tokens"] > 0
    assert record["bytes_out"] > 0


@talks
def test_leaving_in_the_middle_of_a_write_is_noticed(house, sim, talk):
    """The client has stopped reading, so everything on the way to it stands still."""
    since = sim.count()
    with Client(house, window=4096) as client:
        client.send(talk, "events=8000,bytes=1000")
        client.read_until(b"\n\n")
        request = reached(sim, since)
        until(lambda: stands_still(house, client))
        assert_noticed(house, sim, client, request["n"])


def test_leaving_in_the_middle_of_a_plain_answer_frees_its_connection(house, sim):
    """The upstream has given everything by then, so its call is closed and counted already."""
    with Client(house, window=4096) as client:
        client.send(CHAT, "size=8000000", stream=False)
        assert client.answer.status == 200
        assert client.held
        client.leave()
        until(lambda: not client.held, seconds=NOTICED_S)
    assert house.record(client.request_id)["end"] == "completed"


def stands_still(house, client):
    """Whether nothing has come into the client's socket for a moment: its window is full."""
    before = unread(client.sock)
    time.sleep(0.1)
    return unread(client.sock) == before > 0


def unread(sock):
    waiting = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.FIONREAD, waiting)
    return waiting[0]


def test_a_client_that_resets_its_connection_is_noticed(house, sim):
    since = sim.count()
    with Client(house) as client:
        client.send(CHAT, "events=10,fault=hang_after:3")
        client.read_until(b"\n\n", times=3)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert_noticed(house, sim, client, reached(sim, since)["n"])


@pytest.mark.acceptance("B-3")
def test_an_id_that_was_sent_before_the_client_left_is_its_owners(house, sim):
    since = sim.count()
    with Client(house) as client:
        client.send(RESPONSES, "events=10,fault=hang_after:3")
        client.read_until(b"\n\n", times=1)
        assert_noticed(house, sim, client, reached(sim, since)["n"])
    made = sim.requests(since)[0]["object_id"]
    (row,) = house.rows(f"SELECT user_id FROM owned_objects WHERE object_id = '{made}'")
    assert row["user_id"] == house.users["alice"]


def test_the_next_call_on_a_connection_is_watched_like_the_first(house, sim):
    with Client(house) as client:
        client.send(CHAT, stream=False)
        assert json.loads(client.rest())["object"] == "chat.completion"
        since = sim.count()
        client.request_id += "-2"
        client.send(CHAT, "fault=hang_accept")
        assert_noticed(house, sim, client, reached(sim, since)["n"])


def test_many_that_leave_at_once_leave_nothing_open(house, sim):
    since = sim.count()
    clients = [Client(house).send(TALKS[n % 3], "events=10,fault=hang_after:2") for n in range(60)]
    for client in clients:
        client.read_until(b"\n\n")
    left = time.time()
    for client in clients:
        client.leave()
    ended = until(lambda: (now := sim.requests(since)) and all(one["end"] != "open" for one in now) and now)
    assert [one["end"] for one in ended] == ["client_left"] * 60
    assert max(one["finished"] for one in ended) - left <= NOTICED_S
    ends = {house.record(client.request_id)["end"] for client in clients}
    assert ends == {"client_left"}


def test_calls_go_on_as_ever_after_clients_left(house, sim):
    for talk in TALKS:
        assert talk.ends in call(house, talk).body
    assert b"Traceback" not in house.log.read_bytes()
