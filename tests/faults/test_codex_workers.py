"""Two workers on PostgreSQL and one ChatGPT account: its refresh token works once, so only one of them may use it."""

import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import live
from tests.contract.codex import CROWD, connect, forget, open_codex, refreshes

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
ROUNDS = 3


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    port = live.free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        yield f"redis://127.0.0.1:{port}/0"
        process.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def house(provider, redis_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("codex_workers")
    more = {"workers": "2", "redis_url": redis_url, "drain_s": "3"}
    with open_codex(folder, provider, database="postgresql", **more) as running:
        yield running


@pytest.mark.acceptance("E-11")
def test_fifty_calls_at_two_workers_are_one_renewal(house, sim):
    """Several rounds, as who is late by a little is what this is about."""
    for number in range(ROUNDS):
        forget(house)
        before = refreshes(sim)
        connect(house, sim, f"old{number}@example.com", expires_in=1)  # over by now: connecting waits a second, too
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(lambda _: house.post("/v1/responses", {"model": CROWD, "input": "hi"}), range(50)))
        assert [answer.status for answer in answers] == [200] * 50
        assert refreshes(sim) - before == 1


def test_eight_windows_start_at_once_on_an_account_that_comes_back(house, sim):
    forget(house)
    connect(house, sim, "windows@example.com")
    sim.control("POST", "faults", {"fault": "status=429,retry_after=1", "path": "/codex/", "times": 1})
    body = {"model": CROWD, "input": "hi", "stream": True}
    assert house.post("/v1/responses", body).status == 429
    time.sleep(1.0)  # until the moment that the backend named
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: house.post("/v1/responses", body | {"prompt_cache_key": f"w{n}"}), range(8)))
    assert [answer.status for answer in answers] == [200] * 8
