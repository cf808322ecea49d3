"""Readers that are slower than the upstream: held back, given up when nothing moves any more, and never in others' way."""

import statistics
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import live
from tests.faults.clients import CHAT, RESPONSES, TALKS, Client, call, name_of
from tests.live import until

WRITE_S = 2.0
WINDOW = 4096
ENDLESS = "events=8000,bytes=1000"
"""Some 8 MB: more than all buffers on the way hold, the provider's own included."""
EACH_KB = 64 + 1
"""What a stream that stands still may keep in its worker, its event of 1 KB included: all that the process grows by,
pages that malloc keeps included, shared out among the streams. What the kernel holds for its sockets isn't in it."""
talks = pytest.mark.parametrize("talk", TALKS, ids=name_of)


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    """A house that gives up a reader after two seconds without progress."""
    folder = tmp_path_factory.mktemp("slow")
    with live.database("sqlite", folder, "slow") as url:
        with live.open_house(folder, url, provider, write_s=str(WRITE_S)) as running:
            yield running


def standing(house, sim, talk, clients):
    """Start a stream for each client and let nobody read; return the provider's records once all stand still."""
    since = sim.count()
    for client in clients:
        client.send(talk, ENDLESS)
    sizes = []

    def still():
        sizes.append([request["bytes_sent"] for request in sim.requests(since)])
        return len(sizes[-1]) == len(clients)

    until(still, seconds=30)
    return since


def own_kb(pid):
    """The memory of a process that holds what it made itself, in KiB.

    Not the pages of programs and libraries: its part of those grows whenever another process that has them ends.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Anonymous:"))


@pytest.mark.acceptance("G-10")
@talks
def test_a_reader_that_stops_is_given_up_after_the_limit(house, sim, talk):
    with Client(house, window=WINDOW) as client:
        since = standing(house, sim, talk, [client])
        stood = time.time()
        (request,) = until(lambda: (now := sim.requests(since)) and now[0]["end"] != "open" and now)
        assert request["end"] == "client_left"
        assert WRITE_S - 0.1 <= request["finished"] - stood <= WRITE_S + 1.5
        record = house.record(client.request_id)
        assert (record["end"], record["status"]) == ("slow_reader", 499)


@pytest.mark.acceptance("G-10")
def test_a_slow_reader_that_goes_on_is_not_given_up(house, sim):
    """It takes three times the limit, and something moves in each part of it."""
    with Client(house, window=WINDOW) as client:
        client.send(RESPONSES, "events=2000,bytes=1000")
        until_s = time.monotonic() + 3 * WRITE_S
        while time.monotonic() < until_s:
            assert client.answer.read1(20_000)
            time.sleep(0.1)
        assert b"event: response.completed" in client.rest()
        assert house.record(client.request_id)["end"] == "completed"


def test_a_plain_answer_to_a_reader_that_stops_is_given_up_too(house, sim):
    with Client(house, window=WINDOW) as client:
        client.send(CHAT, "size=20000000", stream=False)
        assert client.answer.status == 200
        assert client.held
        until(lambda: not client.held, seconds=WRITE_S + 30)


def test_standing_streams_keep_one_read_each(house, sim):
    (worker,) = house.workers()
    call(house, CHAT, ENDLESS)
    before = own_kb(worker)
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(house, window=WINDOW)) for _ in range(100)]
        since = standing(house, sim, CHAT, clients)
        most = before
        while any(request["end"] == "open" for request in sim.requests(since)):
            most = max(most, own_kb(worker))
        assert most - before <= 100 * EACH_KB
        ends = {house.record(client.request_id)["end"] for client in clients}
        assert ends == {"slow_reader"}


@pytest.mark.fault("X-16")
@pytest.mark.faults
@pytest.mark.timeout(300)
def test_a_thousand_readers_that_never_read_are_given_up(provider, sim, tmp_path, tell):
    limit_s, count = 30, 1000
    with live.database("sqlite", tmp_path, "never") as url:
        with live.open_house(tmp_path, url, provider, write_s=str(limit_s)) as house, ExitStack() as stack:
            (worker,) = house.workers()
            call(house, CHAT, ENDLESS)
            before = most = own_kb(worker)
            since = provider.count()
            clients = [stack.enter_context(Client(house, window=WINDOW, timeout=120)) for _ in range(count)]
            for client in clients:
                client.send(CHAT, "events=1500,bytes=1000")  # the simulated provider keeps all of it
            begun = time.monotonic()
            until(lambda: provider.control("GET", "stats")["open"] >= count * 0.99, seconds=limit_s)
            while provider.control("GET", "stats")["open"] and time.monotonic() - begun < 3 * limit_s:
                most = max(most, own_kb(worker))
                time.sleep(0.3)
            took = time.monotonic() - begun
            ends = {house.record(client.request_id)["end"] for client in clients}
            assert len(provider.requests(since)) == count
    each = (most - before) / count
    tell(f"{count} readers that never read 1.5 MB: all given up {took:.0f} s later ({limit_s} s), {each:.0f} KB each")
    assert ends == {"slow_reader"}
    assert each <= EACH_KB


# -- nobody else notices


def timings(house, count=40):
    """How long short calls take, in seconds."""
    taken = []
    for _ in range(count):
        since = time.perf_counter()
        assert house.post(CHAT.path, CHAT.asks(stream=False)).status == 200
        taken.append(time.perf_counter() - since)
    return taken


def test_a_fast_stream_leaves_others_their_turn(house, sim):
    """A stream at full speed, to a reader that keeps up with it, beside a call that only needs a moment."""
    done = threading.Event()

    def gulp():
        while not done.is_set():
            call(house, CHAT, "events=8000,bytes=1000")

    reader = threading.Thread(target=gulp)
    reader.start()
    try:
        assert statistics.median(timings(house, 10)) < 0.5
    finally:
        done.set()
        reader.join()


@pytest.mark.acceptance("K-8")
@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_thousand_idle_streams_do_not_slow_a_short_call(house, sim):
    """Measured in turns, the best of several: other processes of the machine only ever make it worse."""
    ratios = []
    for _ in range(5):
        quiet = sorted(timings(house, 100))
        with ExitStack() as stack:
            for n in range(1000):
                client = stack.enter_context(Client(house)).send(TALKS[n % 3], "events=10,fault=hang_after:2")
                if n % 50 == 49:  # the provider's queue of new connections is no longer than a hundred
                    client.read_until(b"\n\n")
            until(lambda: sim.control("GET", "stats")["open"] >= 1000, seconds=60)
            busy = sorted(timings(house, 100))
        until(lambda: sim.control("GET", "stats")["open"] == 0, seconds=60)
        ratios.append(busy[98] / quiet[98])
        if ratios[-1] <= 2:
            return
    raise AssertionError(f"p99 beside a thousand streams over p99 alone: {ratios}")


def test_no_reader_that_was_given_up_is_logged_as_a_failure(house, sim):
    with Client(house, window=WINDOW) as client:
        standing(house, sim, CHAT, [client])
        assert house.record(client.request_id)["end"] == "slow_reader"
    assert b"Traceback" not in house.log.read_bytes()
