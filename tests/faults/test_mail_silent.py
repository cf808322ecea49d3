"""A mail server that says nothing holds nobody up: neither who asks for a mail nor anybody else."""

import contextlib
import re
import socket
import time

import requests

from tests import live
from tests.live import until

SOON_S = 5.0


def asked(house, session, email):
    """Ask for a link as a browser does; return the answer and how long it took."""
    page = session.get(f"{house.url}/forgot").text
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page)[1]
    began = time.monotonic()
    answer = session.post(f"{house.url}/forgot", data={"csrf_token": token, "email": email})
    return answer, time.monotonic() - began


def test_pages_and_calls_go_on_while_a_mail_server_says_nothing(provider, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent, live.database("sqlite", tmp_path, "mail") as url:
        silent.settimeout(10)
        post = {"smtp_url": f"smtp+plain://127.0.0.1:{silent.getsockname()[1]}", "mail_from": "realms@example.com"}
        with live.open_house(tmp_path, url, provider, **post) as house, requests.Session() as session:
            answer, took = asked(house, session, "alice@example.com")
            assert answer.status_code == 200
            assert took < SOON_S
            connection, _address = silent.accept()
            with connection:
                began = time.monotonic()
                for _ in range(20):
                    assert live.ask(house.port, "GET", "/livez").status == 200
                assert house.post("/v1/responses", {"model": "sim-1", "input": "x"}).status == 200
                answer, _took = asked(house, session, "nobody@example.com")
                assert answer.status_code == 200
                assert time.monotonic() - began < SOON_S
                connection.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    assert connection.recv(1) != b"", "it still waits for the mail server's first word"
            until(lambda: "mail_not_sent" in house.log.read_text())
