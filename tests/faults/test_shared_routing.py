"""Two workers and their Redis: what one learns holds for both, and without Redis each goes on by itself."""

import os
import shutil
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest
import redis

from app.protocol.limit import Measure
from app.services import allowances
from tests import live
from tests.contract.pairs import ALONE, asked, furnish, model_of, plan
from tests.contract.sticking import add_twins, assert_they_stay
from tests.contract.test_turns import GO_ON, QUESTION, sealed_at
from tests.faults.clients import CHAT, RESPONSES, TALKS, call, name_of
from tests.faults.test_standing import stopped
from tests.live import until

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    port = live.free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    with ExitStack() as stack:
        yield Server(stack, port, command)


class Server:
    """A Redis that can be frozen and killed, and is there again for the next test."""

    def __init__(self, stack, port, command):
        self.port = port
        self._stack = stack
        self._command = command
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        self._stack.enter_context(self.process)
        self._stack.callback(self.process.kill)
        until(self._listens)

    def _listens(self):
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True


@pytest.fixture(scope="module")
def house(provider, server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    settings = {"workers": "2", "cooldown_s": "1", "redis_url": f"redis://127.0.0.1:{server.port}/0", "drain_s": "3"}
    with live.database("postgresql", folder, f"realms_shared_routing_{os.getpid()}") as url:
        with live.open_house(folder, url, provider, **settings) as running:
            running.changed(lambda: (furnish(running, provider), add_twins(running, provider), limit(running)))
            yield running


def limit(house):
    """Give somebody a limit, so that his calls are counted in Redis."""
    allowances.put("user", house.users["carol"], most={Measure.CONCURRENT: 100}, actor=None)


def many(house, talk, model, count=24):
    """So many calls at once that both workers get some."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: call(house, talk, model=model, stream=False), range(count)))


@pytest.mark.parametrize("talk", TALKS[1:], ids=name_of)
def test_a_limit_that_one_worker_meets_holds_for_both(house, sim, talk):
    plan(sim, "status=429,retry_after=8", times=1)
    refused_at = time.monotonic()
    assert call(house, talk, model=model_of(talk, ALONE)).status == 429
    time.sleep(0.1)
    since = sim.count()
    answers = many(house, talk, model_of(talk, ALONE))
    assert {got.status for got in answers} == {429}
    assert {int(got.headers["retry-after"]) for got in answers} <= {*range(1, 9)}
    assert asked(sim, since) == []
    time.sleep(max(0, refused_at + 8.1 - time.monotonic()))
    assert {got.status for got in many(house, talk, model_of(talk, ALONE))} == {200}


@pytest.mark.timeout(240)
def test_hundreds_of_conversations_stay_with_their_keys_whichever_worker_serves(house, sim, capsys):
    told = assert_they_stay(house, sim, "two workers")
    with capsys.disabled():
        print(f"\nconversations on two workers: {told}")


def test_what_an_account_cannot_read_is_found_out_once_for_all_workers(house, sim):
    """Also for one that begins later."""
    items = [QUESTION, sealed_at(sim, "sim-elsewhere"), GO_ON]

    def tries_in(worker):
        (other,) = {*house.workers()} - {worker}
        with stopped(other):
            asked = call(house, RESPONSES, model=ALONE, input=items, store=False, stream=False)
        assert asked.status == 200
        record = house.record(asked.request_id)["id"]
        tries = house.rows(f"SELECT error FROM attempts WHERE record_id = '{record}' ORDER BY n")
        return [each["error"] for each in tries]

    one, other = house.workers()
    assert tries_in(one) == ["mended_unsealed", ""]
    time.sleep(0.1)
    assert tries_in(other) == [""]
    os.kill(one, signal.SIGKILL)
    (new,) = until(lambda: {*house.workers()} - {one, other})
    until(lambda: len(house.workers()) == 2)
    assert tries_in(new) == [""]


def test_both_come_back_by_one_trial(house, sim):
    for _ in range(3):
        plan(sim, "status=500", times=1)
        call(house, CHAT, model=ALONE)
    plan(sim, "status=500", times=3)
    for _ in range(3):
        call(house, CHAT, model=ALONE)
    sim.control("DELETE", "faults")  # what a cool-down has kept from being asked
    time.sleep(1.2)
    answers = many(house, CHAT, ALONE)
    assert {got.status for got in answers} == {200}


class Trouble:
    """What can become of a Redis, and how that ends."""

    def __init__(self, server):
        self._server = server
        self._client = redis.Redis(port=server.port, socket_timeout=5)

    def frozen(self):
        self._server.process.send_signal(signal.SIGSTOP)
        return lambda: self._server.process.send_signal(signal.SIGCONT)

    def killed(self):
        self._server.process.kill()
        self._server.process.wait()
        return self._server.start

    def emptied(self):
        self._client.flushall()
        return lambda: None

    def full(self):
        self._client.config_set("maxmemory", "1")
        return lambda: self._client.config_set("maxmemory", "0")


def served(house, count):
    """Calls of somebody with limits, one after the other; how long each took."""
    took = []
    for _ in range(count):
        since = time.monotonic()
        assert call(house, CHAT, model="pair-1", stream=False, who="carol").status == 200
        took.append(time.monotonic() - since)
    return took


@pytest.mark.fault("X-13")
@pytest.mark.parametrize("how", ["frozen", "killed", "emptied", "full"])
def test_without_redis_every_call_is_served_and_few_have_to_wait(house, sim, server, how, tell):
    before = sorted(served(house, 10))[5]
    errors = house.log.read_bytes().count(b"Traceback")
    end = getattr(Trouble(server), how)()
    try:
        took = served(house, 20)
        plan(sim, "status=500", rate=0.3)
        answers = many(house, RESPONSES, model_of(RESPONSES), 40)
    finally:
        end()
    waited = [seconds for seconds in took if seconds > before + 0.2]
    assert {got.status for got in answers} == {200}
    assert len(waited) <= 4, took  # each worker once, and what a busy machine adds
    assert house.log.read_bytes().count(b"Traceback") == errors
    tell(
        f"{how}: 60 of 60 calls served, {len(waited)} of 20 waited, {max(took) * 1000:.0f} ms at most, p50 "
        f"{before * 1000:.0f} ms before, {sorted(took)[10] * 1000:.0f} ms meanwhile"
    )
    sim.control("DELETE", "faults")
    time.sleep(2)  # it is looked for once a second
