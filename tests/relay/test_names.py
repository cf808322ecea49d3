"""Look-ups of names, by name servers that are quick, slow, wrong or dead."""

import ipaddress
import socket
import threading
import time

import gevent
import pytest

from app.relay import names as module
from app.relay.names import THREADS_MAX, Names
from tests.live import until

ONE, OTHER = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("192.0.2.2")


class Server:
    """A name server: what it says for each name, and which names it is silent about until `speak` is set."""

    def __init__(self) -> None:
        self.says = {}
        self.silent = set()
        self.speak = threading.Event()
        self.asked = []
        self.waiting = 0

    def __call__(self, host, port, **_):
        self.asked.append(host)
        if host in self.silent:
            self.waiting += 1
            self.speak.wait(20)
            self.waiting -= 1
            raise socket.gaierror(socket.EAI_AGAIN, "nobody answers")
        if host not in self.says:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (str(each), port)) for each in self.says[host]]


@pytest.fixture
def server(monkeypatch):
    made = Server()
    monkeypatch.setattr(module, "getaddrinfo", made)
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    yield made
    made.speak.set()
    until(lambda: gevent.sleep(0.01) or not made.waiting)


@pytest.fixture
def names():
    return Names()


def test_what_was_said_is_believed_for_a_while(server, names, monkeypatch):
    server.says["a"] = [ONE, OTHER, ONE]
    assert names.addresses("a", 443) == [ONE, OTHER]
    server.says["a"] = [OTHER]
    assert names.addresses("a", 443) == [ONE, OTHER]
    assert server.asked == ["a"]
    later = time.monotonic() + module.FRESH_S + 1
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    assert names.addresses("a", 443) == [OTHER]


def test_a_name_that_nobody_knows_is_told_and_asked_for_again(server, names):
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            names.addresses("nowhere", 443)
    server.says["nowhere"] = [ONE]
    assert names.addresses("nowhere", 443) == [ONE]


def test_what_is_no_name_is_told(names):
    for odd in ("x" * 300, "a..b", "\udc80"):
        with pytest.raises((OSError, UnicodeError)):
            names.addresses(odd, 443)


@pytest.mark.fault("X-21")
def test_while_no_name_server_answers_what_it_said_last_goes_on_to_count(server, names, monkeypatch):
    server.says["a"] = [ONE]
    names.addresses("a", 443)
    monkeypatch.setattr(module, "FRESH_S", 0.0)
    names._known["a", 443].good_until = 0.0
    server.silent.add("a")
    began = time.monotonic()
    assert [names.addresses("a", 443) for _ in range(50)] == [[ONE]] * 50
    assert time.monotonic() - began < 2, "the first waits for news, the others go on with what is known"
    server.speak.set()
    server.silent.clear()
    server.says["a"] = [OTHER]
    names._known["a", 443].good_until = 0.0
    until(lambda: gevent.sleep(0.01) or not names._asking)
    assert names.addresses("a", 443) == [OTHER]


def test_a_name_that_was_taken_away_is_not_gone_by_any_longer(server, names):
    server.says["a"] = [ONE]
    names.addresses("a", 443)
    names._known["a", 443].good_until = 0.0
    del server.says["a"]
    with pytest.raises(socket.gaierror):
        names.addresses("a", 443)
    assert names._known == {}


def test_what_was_said_long_ago_is_not_gone_by(server, names):
    server.says["a"] = [ONE]
    names.addresses("a", 443)
    names._known["a", 443].said_at -= module.STALE_S + 1
    names._known["a", 443].good_until = 0.0
    server.silent.add("a")
    server.speak.set()
    with pytest.raises(socket.gaierror):
        names.addresses("a", 443)


@pytest.mark.fault("X-21")
def test_a_name_takes_one_thread_however_many_wait_and_others_do_not_wait_for_it(server, names):
    server.silent.add("dead")
    server.says["alive"] = [ONE]
    waiting = [gevent.spawn(_patiently, names, "dead") for _ in range(200)]
    gevent.sleep(0.05)
    began = time.monotonic()
    assert names.addresses("alive", 443) == [ONE]
    assert time.monotonic() - began < 1
    assert (server.waiting, server.asked.count("dead")) == (1, 1)
    assert gevent.get_hub().threadpool.apply(abs, (-1,)) == 1, "what others need threads for goes on"
    gevent.joinall(waiting)
    assert [each.value for each in waiting] == ["late"] * 200


def test_there_are_never_more_threads_than_a_few(server, names):
    server.silent |= {f"dead-{n}" for n in range(30)}
    waiting = [gevent.spawn(_patiently, names, host) for host in server.silent]
    gevent.joinall(waiting)
    assert server.waiting == THREADS_MAX
    server.speak.set()


def _patiently(names, host):
    with gevent.Timeout(0.3, False):
        return names.addresses(host, 443)
    return "late"
