"""A Redis that is away is noticed once, and looked for beside the calls."""

import gevent
import pytest
import redis

from app.services import shared as module
from app.services.shared import Breaker
from tests.services.test_shared_counters import client  # noqa: F401 - a fixture


class Server:
    """What takes a probe, or doesn't."""

    def __init__(self):
        self.error = redis.ConnectionError("no")
        self.asked = 0
        self.askers = set()

    def set(self, *_args, **_more):
        self.asked += 1
        self.askers.add(gevent.getcurrent())
        if self.error is not None:
            raise self.error


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr(module, "REST_S", 0.01)


def eventually(check):
    with gevent.Timeout(10):
        while not check():
            gevent.sleep(0.005)


def test_nobody_asks_before_it_was_found_again(quickly):
    server = Server()
    breaker = Breaker(server)
    assert breaker.closed
    for _ in range(3):
        breaker.failed(redis.TimeoutError())
    eventually(lambda: server.asked > 2)
    assert not breaker.closed
    assert len(server.askers) == 1, "one looks for it, however many found it away"
    server.error = None
    eventually(lambda: breaker.closed)
    asked = server.asked
    gevent.sleep(0.03)
    assert server.asked == asked


def test_one_that_answers_and_takes_nothing_is_away(quickly):
    server = Server()
    server.error = redis.exceptions.OutOfMemoryError("OOM command not allowed")
    breaker = Breaker(server)
    breaker.failed(server.error)
    eventually(lambda: server.asked > 1)
    assert not breaker.closed


def test_workers_with_another_database_of_the_same_server_hear_nothing(client):  # noqa: F811
    own = int(client.connection_pool.connection_kwargs["db"])
    other = redis.Redis(db=own + 1)
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(module.channel(client, "recall"))
        other.publish(module.channel(other, "recall"), "theirs")
        client.publish(module.channel(client, "recall"), "ours")
        heard = []
        with gevent.Timeout(5):
            while not heard:
                message = listener.get_message(timeout=0.1)
                heard += [message["data"]] if message else []
    assert heard == ["ours"]
    other.close()
