"""Hostile bytes get one verdict, whichever way they take through the server: requests, and what upstreams answer.

One connection after the other, so that a server that is broken by one of them is seen to be by the next.
"""

import re
import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from app.services import catalog, upstreams
from tests.api.wire import say
from tests.faults.clients import CHAT
from tests.server.hostile import cases

SENTINEL = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""Comes after each: answered where what was before it has a clear end, and never otherwise."""
MODEL = re.compile(rb'"hostile-(\d+)"')
STREAMED = "stream: "


@contextmanager
def answering():
    """A server that answers by a request's model: `hostile-N` gets the bytes of the table's line N, and the end."""
    told = [case.data for case in cases("answers.txt")]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                asked = b""
                while not (number := MODEL.search(asked)) and (piece := client.recv(65536)):
                    asked += piece
                if number:
                    client.sendall(told[int(number[1])])

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def furnish(url):
    made = upstreams.create(
        name="hostile", kind="openai", base_url=f"{url}/v1", key="sk-upstream-secret", priority=0, weight=1, actor=None
    )
    catalog.import_models(made.id, {"hostile-*": None}, actor=None)


@pytest.mark.acceptance("F-1", "F-2", "F-8", "F-9")
def test_a_request_gets_the_same_verdict_on_both_ways(houses):
    judged = {}
    for way, house in zip(("lean", "plain"), houses, strict=True):
        for case in cases("requests.txt", house.tokens["alice"]):
            heard = say(house.port, case.data + SENTINEL, then_end=True)
            told = ",".join(map(str, heard.statuses)) + ("" if heard.closed else ",open") or "other"
            judged.setdefault(case.name, {"wanted": case.verdict})[way] = told
    assert len(judged) >= 200
    wrong = {name: told for name, told in judged.items() if len({*told.values()}) > 1}
    assert wrong == {}


@pytest.mark.acceptance("E-10", "G-7")
def test_an_answer_gets_the_same_verdict_on_both_ways(houses):
    judged = {}
    with answering() as url:
        for way, house in zip(("lean", "plain"), houses, strict=True):
            house.changed(lambda: furnish(url))
            for number, case in enumerate(cases("answers.txt")):
                stream = case.name.startswith(STREAMED)
                body = {"model": f"hostile-{number}", "messages": [], "stream": stream}
                got = house.post(CHAT.path, body)
                told = f"{got.status}{ending(got.body) if stream and got.status == 200 else ''}"
                judged.setdefault(case.name, {"wanted": case.verdict})[way] = told
                assert b"sk-" not in got.body, case.name
                assert "set-cookie" not in got.headers
            house.changed(lambda: upstreams.delete(upstreams.by_name("hostile").id, actor=None))
    assert len(judged) >= 100
    wrong = {name: told for name, told in judged.items() if len({*told.values()}) > 1}
    assert wrong == {}


def ending(body):
    """How a stream ended: well, or with our error event, which it never lacks otherwise."""
    return " error" if b'"error":' in body else " done" if b"[DONE]" in body else " cut"
