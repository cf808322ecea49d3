"""Workers that share a Redis agree within a tenth of a second, and go on by themselves while it is away."""

import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import msgspec
import pytest
import redis

from app.services.shared import channel
from app.services.shared_board import News
from tests.live import ROOT, free_port, until

AGREED_S = 0.1
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]


class Worker:
    """One process; ``ask`` returns its answer and how long that took inside it."""

    def __init__(self, process):
        self.process = process

    def timed(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        told, seconds = self.process.stdout.readline().split()
        return told, float(seconds)

    def ask(self, *words):
        return self.timed(*words)[0]


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def server(stack, tmp_path):
    """A Redis of this test's own, and its port."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
    stack.callback(process.kill)
    stack.callback(process.send_signal, signal.SIGCONT)
    return process, port


@pytest.fixture
def start(stack, server):
    """Starts workers."""

    def started():
        command = [sys.executable, "-m", "tests.services.worker_beside", f"redis://127.0.0.1:{server[1]}/0"]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.enter_context(process)
        stack.callback(process.kill)
        return Worker(process)

    return started


@pytest.fixture
def pair(start):
    """Two workers that hear each other."""
    one, other = start(), start()
    one.ask("bind", "hello1", 1)
    other.ask("bind", "hello2", 1)
    until(lambda: other.ask("bound", "hello1") == "1" and one.ask("bound", "hello2") == "1")
    return one, other


def took(check):
    """How long it takes until something is so."""
    since = time.monotonic()
    until(check, seconds=5, every=0.005)
    return time.monotonic() - since


STEPS = [
    (("fail", "u:1", 0), ("state", "u:1"), "OUT"),
    (("succeed", "u:1"), ("state", "u:1"), "READY"),
    (("bind", "talk", 7), ("bound", "talk"), "7"),
    (("bind", "talk", 8), ("bound", "talk"), "8"),
    (("begin", "u:2"), ("load", "u:2"), "1"),
    (("end", "u:2"), ("load", "u:2"), "0"),
]


def test_what_one_learns_the_others_know(pair):
    """The quickest of three counts: the machine may have other work."""
    one, other = pair
    times = {}
    for _ in range(3):
        for told, asked, known in STEPS:
            one.ask(*told)
            times.setdefault(told, []).append(took(lambda: other.ask(*asked) == known))  # noqa: B023 - asked at once
    assert max(min(each) for each in times.values()) < AGREED_S


def test_news_that_only_another_release_understands_keep_no_others_from_being_heard(pair, server):
    one, other = pair
    with redis.Redis(port=server[1]) as client:
        for topic in ("affinity", "health", "load"):
            news = News(sender="another", topic=topic, key="x", text="{odd", until=time.time() + 60)
            assert client.publish(channel(client, "board"), msgspec.json.encode(news)) == 2
    one.ask("bind", "later", 7)
    until(lambda: other.ask("bound", "later") == "7")


def test_a_claim_is_one_workers_alone(pair):
    one, other = pair
    assert one.ask("claim", "u:1") == "True"
    assert other.ask("claim", "u:1") == "False"
    one.ask("release", "u:1")
    took(lambda: other.ask("claim", "u:1") == "True")


def test_what_is_given_up_while_redis_is_away_is_free_afterwards(pair, server):
    one, _ = pair
    assert one.ask("claim", "u:1") == "True"
    with redis.Redis(port=server[1]) as client:
        client.client_pause(500)  # what is asked meanwhile and given up is never done
        one.ask("release", "u:1")
        until(lambda: not client.exists("realms:board:claim:u:1"), seconds=5)


def test_who_comes_later_begins_with_what_still_holds(pair, start):
    one, other = pair
    one.ask("fail", "u:1", 0)
    for n in range(1200):  # more than is fetched at once
        one.ask("bind", f"talk{n}", n)
    until(lambda: other.ask("bound", "talk1199") == "1199")
    late = start()
    assert late.ask("state", "u:1") == "OUT"
    assert [late.ask("bound", f"talk{n}") for n in range(1200)] == [str(n) for n in range(1200)]


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_without_redis_each_goes_by_itself_and_waits_once(pair, server, how):
    one, other = pair
    server[0].send_signal(how)
    one.ask("fail", "u:1", 0)
    assert one.ask("state", "u:1") == "OUT"
    waits = [one.timed("claim", f"u:{n}") for n in range(2, 12)]
    assert {told for told, _ in waits} == {"True"}
    assert sum(seconds for _, seconds in waits) < 0.35
    if how is signal.SIGSTOP:
        server[0].send_signal(signal.SIGCONT)
        until(lambda: other.ask("state", "u:1") == "OUT", seconds=5)
