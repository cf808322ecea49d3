"""Two workers and their Redis: what one learns holds for both, and without Redis each goes on by itself."""

import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import live
from tests.contract.pairs import ALONE, asked, furnish, model_of, plan
from tests.faults.clients import CHAT, RESPONSES, TALKS, call, name_of

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    port = live.free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path_factory.mktemp("redis"))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        yield process, port
        process.send_signal(signal.SIGCONT)
        process.kill()


@pytest.fixture(scope="module")
def house(provider, server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    settings = {"workers": "2", "cooldown_s": "1", "redis_url": f"redis://127.0.0.1:{server[1]}/0", "drain_s": "3"}
    with live.database("postgresql", folder, f"realms_{folder.name.replace('-', '_')}") as url:
        with live.open_house(folder, url, provider, **settings) as running:
            running.changed(lambda: furnish(running, provider))
            yield running


def many(house, talk, model, count=24):
    """So many calls at once that both workers get some."""
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: call(house, talk, model=model, stream=False), range(count)))


@pytest.mark.parametrize("talk", TALKS[1:], ids=name_of)
def test_a_limit_that_one_worker_meets_holds_for_both(house, sim, talk):
    plan(sim, "status=429,retry_after=3", times=1)
    assert call(house, talk, model=model_of(talk, ALONE)).status == 429
    time.sleep(0.1)
    since = sim.count()
    answers = many(house, talk, model_of(talk, ALONE))
    assert {got.status for got in answers} == {429}
    assert {got.headers["retry-after"] for got in answers} <= {"2", "3"}
    assert asked(sim, since) == []
    time.sleep(3.1)
    assert {got.status for got in many(house, talk, model_of(talk, ALONE))} == {200}


def test_both_come_back_by_one_trial(house, sim):
    for _ in range(3):
        plan(sim, "status=500", times=1)
        call(house, CHAT, model=ALONE)
    plan(sim, "status=500", times=3)
    for _ in range(3):
        call(house, CHAT, model=ALONE)
    time.sleep(1.2)
    answers = many(house, CHAT, ALONE)
    assert {got.status for got in answers} == {200}


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_without_redis_every_call_is_served(house, sim, server, how):
    server[0].send_signal(how)
    plan(sim, "status=500", rate=0.3)
    since = time.monotonic()
    answers = many(house, RESPONSES, model_of(RESPONSES), 60)
    assert {got.status for got in answers} == {200}
    assert time.monotonic() - since < 5
    if how is signal.SIGSTOP:
        server[0].send_signal(signal.SIGCONT)
