"""A Redis that is away is noticed once, and looked for beside the calls."""

import gevent
import pytest
import redis

from app.services import shared as module
from app.services.shared import Breaker


class Server:
    """What takes a probe, or doesn't."""

    def __init__(self):
        self.error = redis.ConnectionError("no")
        self.asked = 0

    def set(self, *_args, **_more):
        self.asked += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr(module, "REST_S", 0.01)


def test_nobody_asks_before_it_was_found_again(quickly):
    server = Server()
    breaker = Breaker(server)
    assert breaker.closed
    for _ in range(3):
        breaker.failed(redis.TimeoutError())
    gevent.sleep(0.055)
    assert not breaker.closed
    assert 2 <= server.asked <= 5  # one looks for it, however many found it away
    server.error = None
    gevent.sleep(0.03)
    assert breaker.closed
    asked = server.asked
    gevent.sleep(0.03)
    assert server.asked == asked


def test_one_that_answers_and_takes_nothing_is_away(quickly):
    server = Server()
    server.error = redis.exceptions.OutOfMemoryError("OOM command not allowed")
    breaker = Breaker(server)
    breaker.failed(server.error)
    gevent.sleep(0.03)
    assert not breaker.closed
