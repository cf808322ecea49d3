"""X-15: thousands of sockets that send a request's head a byte at a time; they are closed, and nobody else waits."""

import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests import live
from tests.faults.clients import CHAT, call

SOCKETS = 5000
LIMIT_S = 2
BODY_S = 10
BODIES = 500
PAUSE_S = 0.5
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    folder = tmp_path_factory.mktemp("senders")
    settings = {"keepalive_s": str(LIMIT_S), "body_s": str(BODY_S)}
    with (
        live.database("sqlite", folder, "senders") as url,
        live.open_house(folder, url, provider, **settings) as running,
    ):
        yield running


def resident(house):
    [worker] = house.workers()
    status = Path(f"/proc/{worker}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


def waits(house, count):
    """Seconds of so many short calls, sorted."""
    took = []
    for _ in range(count):
        since = time.monotonic()
        assert call(house, CHAT, "events=2", who="carol").status == 200
        took.append(time.monotonic() - since)
    return sorted(took)


def closed(sock):
    """Whether the server ended the connection; what it said before is read away."""
    try:
        while sock.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.fault("X-15")
def test_who_sends_a_head_a_byte_at_a_time_is_closed_and_nobody_else_waits(house, sim, tell):
    quiet = waits(house, 100)
    before = resident(house)
    begun = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
    sockets = []
    for _ in range(SOCKETS):
        sock = socket.create_connection(("127.0.0.1", house.port))
        sock.sendall(begun)
        sock.setblocking(False)
        sockets.append(sock)
    opened = time.monotonic()
    busy = waits(house, 60)
    peak = resident(house)
    open_ = set(sockets)
    while open_ and time.monotonic() - opened < 30:
        for sock in list(open_):
            with suppress(OSError):
                sock.send(b"X")
            if closed(sock):
                open_.discard(sock)
        time.sleep(PAUSE_S)
    took = time.monotonic() - opened
    for sock in sockets:
        sock.close()
    tell(
        f"{SOCKETS} slow heads: all closed after {took:.1f} s (`REALMS_KEEPALIVE_S={LIMIT_S}`), {(peak - before) / SOCKETS:.0f} KB each; "
        f"others' p99 {quiet[-2] * 1000:.0f} ms before, {busy[-2] * 1000:.0f} ms meanwhile"
    )
    assert not open_
    assert (peak - before) / SOCKETS < 60
    assert busy[-2] < max(2 * quiet[-2], 0.25)


@pytest.mark.fault("X-15")
def test_who_sends_a_body_a_byte_at_a_time_is_refused_in_time_and_nobody_else_waits(house, sim, tell):
    quiet = waits(house, 60)
    before = resident(house)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.tokens['alice']}\r\n"
    sockets = []
    for _ in range(BODIES):
        sock = socket.create_connection(("127.0.0.1", house.port))
        sock.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{{".encode())
        sock.setblocking(False)
        sockets.append(sock)
    opened = time.monotonic()
    busy = waits(house, 60)
    peak = resident(house)
    open_ = set(sockets)
    while open_ and time.monotonic() - opened < 4 * BODY_S:
        for sock in list(open_):
            with suppress(OSError):
                sock.send(b" ")
            if closed(sock):
                open_.discard(sock)
        time.sleep(PAUSE_S)
    took = time.monotonic() - opened
    for sock in sockets:
        sock.close()
    tell(
        f"{BODIES} slow bodies: all refused after {took:.1f} s, {(peak - before) / BODIES:.0f} KB each; "
        f"others' p99 {quiet[-2] * 1000:.0f} ms before, {busy[-2] * 1000:.0f} ms meanwhile"
    )
    assert not open_
    assert busy[-2] < max(2 * quiet[-2], 0.25)
