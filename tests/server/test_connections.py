"""Idle connections are closed in time, and never the others."""

import socket
import time
from math import inf

import gevent
import pytest

from app.server import connections as module
from app.server.connections import Connections


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    theirs.settimeout(5)
    with ours, theirs:
        yield ours, theirs


def ended(client):
    """Whether the server's side would read the end of its connection."""
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_one_that_idles_too_long_is_ended_and_one_with_a_request_is_not(pair):
    connections = Connections(keepalive_s=1)
    connections.start()
    client, _ = pair
    connections.idles(client, since=time.monotonic())
    gevent.sleep(0.3)
    assert not ended(client)
    connections.serves(client)
    gevent.sleep(1.4)
    assert not ended(client)
    connections.idles(client, since=time.monotonic() - 0.7)
    gevent.sleep(1.0)
    assert ended(client)


def test_one_that_has_just_come_is_not_ended_with_the_others(pair, monkeypatch):
    """Its request is on the way, and whoever sends it can't know that the worker ends."""
    connections = Connections(keepalive_s=inf)
    client, _ = pair
    connections.arrives(client)
    connections.idles(client, since=time.monotonic())
    connections.close_idle()
    assert not ended(client)
    monkeypatch.setattr(module, "FIRST_S", 0)
    connections.close_idle()
    assert ended(client)


def test_one_that_was_served_is_ended_at_once(pair):
    connections = Connections(keepalive_s=inf)
    client, _ = pair
    connections.arrives(client)
    connections.serves(client)
    connections.idles(client, since=time.monotonic())
    connections.close_idle()
    assert ended(client)


def test_gunicorns_own_are_ended_only_at_the_end(pair):
    connections = Connections(keepalive_s=0)
    connections.start()
    client, _ = pair
    seen = []

    def handle(listener, client, address):
        connections.serving(lambda *_: seen.append(ended(client)))(listener, None, client, address)
        gevent.sleep(0.7)
        seen.append(ended(client))
        connections.close_idle()
        seen.append(ended(client))

    connections.seeing(handle)(None, client, None)
    assert seen == [False, False, True]


def test_a_worker_stays_as_long_as_a_connection_that_gunicorn_does_not_know():
    connections = Connections(keepalive_s=inf)
    client = object()
    connections.arrives(client)

    class Worker:
        notified = 0

        def run(self):
            pass

        def notify(self):
            self.notified += 1
            if self.notified == 3:
                connections.leaves(client)

    worker = Worker()
    connections.outlasting(worker)()
    assert worker.notified == 3


def test_all_end_in_the_end_but_those_that_have_left(pair):
    connections = Connections(keepalive_s=inf)
    client, other = pair
    connections.arrives(client)
    connections.serves(client)
    connections.leaves(client)
    connections.close_all()
    assert not ended(client)
    connections.arrives(client)
    connections.serves(client)
    connections.close_all()
    assert ended(client)
    assert other.recv(1) == b""
