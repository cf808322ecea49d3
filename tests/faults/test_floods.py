"""X-18, X-19: more connections than a worker takes, and requests and answers that are far too large."""

import json
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import live
from tests.api.wire import request, say
from tests.faults.clients import CHAT, TALKS, Client, call
from tests.faults.invariants import assert_no_ghosts
from tests.faults.test_database_away import Gaps
from tests.live import until

CONNECTIONS = 200
KEEPALIVE_S = 2
JSON = "Content-Type: application/json"
MB = 1 << 20
pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]


@pytest.mark.fault("X-18")
def test_a_flood_of_connections_is_refused_or_waits_and_is_over_at_once(provider, sim, tmp_path, tell):
    with live.database("sqlite", tmp_path, "flood") as url:
        with live.open_house(tmp_path, url, provider, worker_connections=str(CONNECTIONS)) as house:
            clients = [Client(house, timeout=60) for _ in range(2 * CONNECTIONS)]
            for client in clients:
                client.send(CHAT, "events=6,gap=0.5")

            def outcome(client):
                try:
                    whole = client.rest()
                except OSError as error:
                    return type(error).__name__
                return client.answer.status if client.answer.status != 200 or CHAT.ends in whole else "cut"

            with ThreadPoolExecutor(50) as pool:
                told = Counter(pool.map(outcome, clients))
            over = time.monotonic()
            for client in clients:
                client.leave()
            until(lambda: call(house, CHAT, "events=1").status == 200, seconds=10)
            took = time.monotonic() - over
            assert_no_ghosts(provider)
    tell(
        f"{2 * CONNECTIONS} calls at once for {CONNECTIONS} connections: {dict(told)}; served again after {took:.2f} s"
    )
    assert set(told) <= {200, 503}
    assert took < 2


def silent(house, count):
    """So many connections on which nothing is ever sent."""
    socks = [socket.create_connection(("127.0.0.1", house.port)) for _ in range(count)]
    for sock in socks:
        sock.settimeout(60)
    return socks


def ended(sock):
    """When the server has ended a connection without a word, or None where it said one."""
    with sock:
        return time.monotonic() if sock.recv(1) == b"" else None


@pytest.mark.fault("X-18")
@pytest.mark.parametrize("fast", ["1", "0"], ids=["lean", "gunicorn"])
def test_a_flood_of_connections_that_say_nothing_is_closed_in_time_and_others_are_served(
    provider, sim, tmp_path, tell, fast
):
    """Half of them wait until the others are closed; a call that comes last waits for both halves, and is served."""
    settings = {"worker_connections": str(CONNECTIONS), "keepalive_s": str(KEEPALIVE_S), "fast": fast}
    with live.database("sqlite", tmp_path, "silent") as url:
        with live.open_house(tmp_path, url, provider, **settings) as house:
            call(house, CHAT, "events=1")
            socks = silent(house, 2 * CONNECTIONS)
            opened = time.monotonic()
            with ThreadPoolExecutor(2 * CONNECTIONS) as pool:
                ends = [pool.submit(ended, sock) for sock in socks]
                assert call(house, CHAT, "events=1").status == 200
                waited = time.monotonic() - opened
                closed = [end.result() for end in ends]
            since = time.monotonic()
            assert call(house, CHAT, "events=1").status == 200
            after = time.monotonic() - since
    assert None not in closed, "nobody is answered who asked nothing"
    tell(
        f"{2 * CONNECTIONS} connections that say nothing, for {CONNECTIONS} (`REALMS_FAST={fast}`): all closed after "
        f"{max(closed) - opened:.1f} s (REALMS_KEEPALIVE_S={KEEPALIVE_S}), a call behind them served after {waited:.1f} s, "
        f"the next in {after:.2f} s"
    )
    assert max(closed) - opened < 3 * KEEPALIVE_S + 2
    assert waited < 3 * KEEPALIVE_S + 2
    assert after < 1


@pytest.fixture
def house(provider, tmp_path):
    with live.database("sqlite", tmp_path, "giants") as url, live.open_house(tmp_path, url, provider) as running:
        yield running


def resident_mb(house):
    (worker,) = house.workers()
    text = Path(f"/proc/{worker}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")) / 1024


def in_chunks(megabytes):
    piece = b"%x\r\n%b\r\n" % (MB, b" " * MB)
    return piece * megabytes + b"0\r\n\r\n"


@pytest.mark.fault("X-19")
def test_what_is_far_too_large_is_refused_and_holds_nobody_up(house, sim, tell):
    token = house.tokens["alice"]
    deep = b'{"model":"sim-1","input":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    many = [f"X-{n}: y" for n in range(10_000)]
    sent = {
        "100 MB, told": request(token, JSON, f"Content-Length: {100 * MB}"),
        "100 MB in chunks": request(token, JSON, "Transfer-Encoding: chunked", body=in_chunks(100)),
        "10,000 headers": request(token, *many, line="GET /v1/models HTTP/1.1"),
        "a million deep": request(token, JSON, f"Content-Length: {len(deep)}", body=deep),
    }
    call(house, CHAT)
    before, told = resident_mb(house), {}
    with Gaps(house) as gaps:
        for name, data in sent.items():
            told[name] = _statuses(house, data)
        event = {talk.name: call(house, talk, "fault=big_event:50000000") for talk in TALKS}
    grown = resident_mb(house) - before
    tell(
        f"{json.dumps(told)}; an event of 50 MB ends its stream with the error event; "
        f"{grown:.0f} MB more at most, slowest /livez {gaps.worst:.2f} s"
    )
    assert told == {"100 MB, told": [413], "100 MB in chunks": [413], "10,000 headers": [431], "a million deep": [400]}
    for talk in TALKS:
        assert event[talk.name].status in {200, 502}
        assert b"error" in event[talk.name].body
    assert grown < 2 * 32 * 3
    assert gaps.worst < 1


def _statuses(house, data):
    """What is answered; a server that hangs up while a giant is still being sent has said its word before."""
    try:
        return say(house.port, data, seconds=10, until=b"}}").statuses
    except (BrokenPipeError, ConnectionResetError):
        return [413]
