"""The end of a worker: short streams end whole, long ones are told, every record is kept, and nobody is killed."""

import json
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests import live
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, Client, call, events
from tests.live import until

DRAIN_S = 3
SHORT = "events=30,gap=0.05"
LONG = "events=4000,gap=0.05"
SILENT = "events=10,fault=hang_after:3"


@contextmanager
def a_house(provider, folder, **settings):
    with live.database("sqlite", folder, "drain") as url, live.open_house(folder, url, provider, **settings) as house:
        yield house


def ended(house, seconds):
    """Wait for gunicorn to end by itself; return its exit code."""
    try:
        return house.process.wait(seconds)
    except subprocess.TimeoutExpired:
        raise AssertionError(f"still running {seconds} s later:\n{house.log.read_text()[-2000:]}") from None


def opened(house, sim, stack, wanted):
    """Open a stream for each (talk, options) and wait until every one has begun."""
    clients = [(talk, options, stack.enter_context(Client(house).send(talk, options))) for talk, options in wanted]
    for _, _, client in clients:
        assert client.answer.status == 200
    return clients


def read_all(clients):
    """Read all streams to their proper ends; a connection that breaks raises."""
    with ThreadPoolExecutor(50) as pool:
        return list(pool.map(lambda entry: entry[2].rest(), clients))


def assert_told_of_the_restart(talk, body, request_id):
    assert body.endswith(b"\n\n")
    name, told = events(body)[-1]
    if talk is RESPONSES:
        assert (name, told["type"], told["code"]) == ("error", "error", "overloaded")
        assert request_id in told["message"]
    elif talk is CHAT:
        assert told["error"]["code"] == "overloaded"
        assert request_id in told["error"]["message"]
    else:
        assert (name, told["error"]["type"], told["request_id"]) == ("error", "overloaded_error", request_id)


def test_two_hundred_streams_end_honestly_and_on_record(provider, sim, tmp_path):
    wanted = [(TALKS[n % 3], (SHORT, LONG, SILENT, LONG)[n % 4]) for n in range(200)]
    with a_house(provider, tmp_path, drain_s=str(DRAIN_S)) as house, ExitStack() as stack:
        clients = opened(house, sim, stack, wanted)
        since = time.monotonic()
        house.process.send_signal(signal.SIGTERM)
        bodies = read_all(clients)
        code = ended(house, DRAIN_S + 5)
        took = time.monotonic() - since
        for (talk, options, client), body in zip(clients, bodies, strict=True):
            if options == SHORT:
                assert talk.ends in body[-4000:]
                assert b"restarted" not in body
            else:
                assert_told_of_the_restart(talk, body, client.request_id)
        rows = {row["request_id"]: row for row in house.rows('SELECT request_id, status, "end" FROM records')}
        for _, options, client in clients:
            row = rows[client.request_id]
            assert (row["status"], row["end"]) == (200, "completed" if options == SHORT else "drained")
        log = house.log.read_bytes()
        assert (code, b"SIGKILL" in log, b"graceful timeout" in log, b"Traceback" in log) == (0, False, False, False)
        assert DRAIN_S <= took <= DRAIN_S + 5
        assert not list((tmp_path / "journal").glob("*"))


@pytest.mark.fault("X-2")
@pytest.mark.faults
@pytest.mark.timeout(300)
def test_a_thousand_streams_end_honestly_and_on_record(provider, sim, tmp_path, tell):
    """Half of them end by themselves within the drain, half never would."""
    drain_s, short, long = 25, "events=2,gap=1.5", "events=4000,gap=2"
    wanted = [(TALKS[n % 3], (short, long)[n % 2]) for n in range(1000)]
    with a_house(provider, tmp_path, drain_s=str(drain_s)) as house, ExitStack() as stack:
        clients = opened(house, sim, stack, wanted)
        since = time.monotonic()
        house.process.send_signal(signal.SIGTERM)
        until(lambda: refused(house), seconds=10)  # the doors close first
        assert sim.control("GET", "stats")["open"] > 0, "and streams go on"
        bodies = read_all(clients)
        code = ended(house, drain_s + 10)
        assert not list((tmp_path / "journal").glob("*")), "and what they came to is in the database before the end"
        took = time.monotonic() - since
        whole = sum(talk.ends in body[-4000:] for (talk, _, _), body in zip(clients, bodies, strict=True))
        rows = {row["request_id"]: row["end"] for row in house.rows('SELECT request_id, "end" FROM records')}
        kills = house.log.read_bytes().count(b"SIGKILL")
        tell(
            f"{whole} streams ended whole, {1000 - whole} with their protocol's error event; {len(rows)} records; "
            f"gone after {took:.1f} s of {drain_s + 5} s at most, exit code {code}, {kills} killed"
        )
        for (talk, options, client), body in zip(clients, bodies, strict=True):
            if options == long:
                assert_told_of_the_restart(talk, body, client.request_id)
            assert rows[client.request_id] == ("completed" if options == short else "drained")
        assert (whole, code, kills, took <= drain_s + 5) == (500, 0, 0, True)


def test_ctrl_c_ends_streams_honestly_too_and_soon(provider, sim, tmp_path):
    with a_house(provider, tmp_path) as house, ExitStack() as stack:
        clients = opened(house, sim, stack, [(talk, options) for talk in TALKS for options in (LONG, SILENT)])
        house.process.send_signal(signal.SIGINT)
        for (talk, _, client), body in zip(clients, read_all(clients), strict=True):
            assert_told_of_the_restart(talk, body, client.request_id)
        assert ended(house, 10) == 0
        kept = {row["request_id"]: row["end"] for row in house.rows('SELECT request_id, "end" FROM records')}
        assert [kept[client.request_id] for _, _, client in clients] == ["drained"] * len(clients)


def test_idle_connections_do_not_hold_up_the_end(provider, sim, tmp_path):
    """Of every room, and those that never said a word; kept for a minute otherwise."""
    with a_house(provider, tmp_path, keepalive_s="60") as house, ExitStack() as stack:
        for path in (b"/v1/models", b"/livez", b"/login", b"/static/none"):
            client = stack.enter_context(Client(house))
            token = house.tokens["alice"].encode()
            client.sock.sendall(b"GET %b HTTP/1.1\r\nhost: realms\r\nauthorization: Bearer %b\r\n\r\n" % (path, token))
            client.rest()
        for talk in TALKS:
            assert stack.enter_context(Client(house)).send(talk).rest()
        for beginning in (b"", b"GET /v1/models HT"):
            stack.enter_context(Client(house)).sock.sendall(beginning)
        since = time.monotonic()
        house.process.send_signal(signal.SIGTERM)
        assert ended(house, 10) == 0
        assert time.monotonic() - since < 5
        assert b"Traceback" not in house.log.read_bytes()


@pytest.mark.parametrize("fast", ["1", "0"], ids=["lean", "gunicorn"])
def test_a_connection_that_has_just_come_is_served(provider, sim, tmp_path, fast):
    """Its client couldn't know of the end, as who sends another request on a connection that idled must reckon with."""
    with a_house(provider, tmp_path, fast=fast, keepalive_s="60") as house, Client(house) as idle:
        assert CHAT.ends in idle.send(CHAT).rest()
        with Client(house) as new:
            assert call(house, CHAT).status == 200, "and the new one was accepted before"
            house.process.send_signal(signal.SIGTERM)
            assert idle.sock.recv(1) == b"", "the end has begun"
            assert CHAT.ends in new.send(CHAT).rest()
        assert ended(house, 10) == 0


def test_a_request_whose_body_is_still_coming_is_served(provider, sim, tmp_path):
    with a_house(provider, tmp_path, drain_s=str(DRAIN_S)) as house, Client(house) as client:
        head = f"POST {CHAT.path} HTTP/1.1\r\nhost: realms\r\nauthorization: Bearer {client.token}\r\n"
        body = json.dumps(CHAT.asks()).encode()
        client.sock.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:9])
        assert call(house, CHAT).status == 200
        house.process.send_signal(signal.SIGTERM)
        until(lambda: refused(house))
        client.sock.sendall(body[9:])
        assert CHAT.ends in client.rest()
        assert ended(house, 10) == 0


@pytest.mark.parametrize("fast", ["1", "0"], ids=["lean", "gunicorn"])
def test_a_body_that_keeps_coming_does_not_outlast_the_end(provider, sim, tmp_path, fast):
    """The server's own end comes with SIGKILL, and with what others' calls have not written down yet."""
    with a_house(provider, tmp_path, fast=fast, drain_s="1", body_s="60") as house, Client(house) as client:
        head = f"POST {CHAT.path} HTTP/1.1\r\nhost: realms\r\nauthorization: Bearer {client.token}\r\n"
        client.sock.sendall(f"{head}content-length: 100000\r\n\r\n".encode() + b" ")
        assert call(house, CHAT).status == 200
        since = time.monotonic()
        house.process.send_signal(signal.SIGTERM)
        with suppress(OSError):
            while time.monotonic() - since < 20:  # trickles until it is hung up on
                client.sock.sendall(b" ")
                time.sleep(0.05)
        assert ended(house, 10) == 0
        assert not list((tmp_path / "journal").glob("*")), "the worker has come to its own end"


def refused(house):
    """Whether nobody accepts connections any more."""
    try:
        live.ask(house.port, "GET", "/livez")
    except OSError:
        return True
    return False


@pytest.mark.faults
def test_a_reload_breaks_no_stream_and_refuses_no_call(provider, sim, tmp_path):
    wanted = [(TALKS[n % 3], "events=120,gap=0.05") for n in range(60)]
    with a_house(provider, tmp_path, drain_s="30") as house, ExitStack() as stack:
        old = house.workers()
        clients = opened(house, sim, stack, wanted)
        house.process.send_signal(signal.SIGHUP)
        while not set(house.workers()) - set(old):
            assert CHAT.ends in call(house, CHAT).body
        for _ in range(50):
            assert MESSAGES.ends in call(house, MESSAGES).body
        for (talk, _, client), body in zip(clients, read_all(clients), strict=True):
            assert talk.ends in body[-4000:]
            assert house.record(client.request_id)["end"] == "completed"
        until(lambda: not set(house.workers()) & set(old), seconds=15)
        log = house.log.read_bytes()
        assert (b"SIGKILL" in log, b"Traceback" in log) == (False, False)
