"""Realms behind nginx and behind Caddy, configured as `deploy/` says."""

import shutil
import time
import uuid

import openai
import pytest

from tests.api.test_smuggling import AMBIGUOUS, JSON, SECOND
from tests.api.wire import request, say
from tests.live import until
from tests.sdk.proxies import PROXIES, before

pytestmark = pytest.mark.slow
LISTED = b'"object":"list"'


@pytest.fixture(scope="module", params=PROXIES)
def proxied(request, house, tmp_path_factory):
    """A proxy before the house."""
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    with before(house, request.param, tmp_path_factory.mktemp(request.param)) as proxy:
        yield proxy


def test_events_come_one_by_one_and_a_client_that_leaves_is_noticed(proxied, house, sim):
    http_client = openai.DefaultHttpxClient(verify=proxied.trust)
    with openai.OpenAI(api_key=house.tokens["alice"], base_url=f"{proxied.url}/v1", http_client=http_client) as client:
        before = sim.control("GET", "stats")["aborted"]
        stream = client.responses.create(model="sim-1+events=400,gap=0.05", input="hello", stream=True)
        started = time.monotonic()
        for _ in zip(range(10), stream, strict=False):
            pass
        assert time.monotonic() - started < 5  # the whole of it takes 20 s
        stream.close()
        until(lambda: sim.control("GET", "stats")["aborted"] > before)


def test_a_websocket_is_refused_at_once(proxied, house):
    asked = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13", "sec-websocket-key": "x"}
    with openai.DefaultHttpxClient(verify=proxied.trust) as client:
        assert client.get(f"{proxied.url}/v1/responses", headers=asked).status_code == 426


@pytest.mark.parametrize("name", ["session_id", "conversation_id", "session-id"])
def test_what_codex_names_its_conversation_by_arrives(proxied, house, sim, name):
    before = house.provider.count()
    key = uuid.uuid4().hex
    with openai.DefaultHttpxClient(verify=proxied.trust) as client:
        sent = {"authorization": f"Bearer {house.tokens['alice']}", name: key, "x-request-id": key}
        body = {"model": "sim-1", "input": "x"}
        assert client.post(f"{proxied.url}/v1/responses", headers=sent, json=body).status_code == 200
    assert house.provider.count() > before
    assert house.record(key)["conversation"] != ""


@pytest.mark.acceptance("F-1")
def test_no_reading_of_a_request_lets_another_through(proxied, house):
    """What the proxy passes on, it passes on in one reading: nobody after it gets an answer that isn't theirs."""
    token = house.tokens["alice"]
    for name, (lines, body) in AMBIGUOUS.items():
        hidden = request(token, "X-Smuggled: yes", line="GET /v1/models/smuggled HTTP/1.1")
        sent = request(token, JSON, *lines, body=body + hidden)
        heard = say(proxied.port, sent + request(token, line=SECOND), seconds=0.5, trust=proxied.trust)
        assert len(heard.statuses) <= 3, name
        for _ in range(3):
            own = uuid.uuid4().hex
            ending = ("Connection: close", f"X-Request-Id: {own}")
            probe = say(proxied.port, request(token, *ending, line=SECOND), trust=proxied.trust)
            assert probe.statuses == [200], name
            assert own.encode() in probe.data, name
            assert probe.data.count(LISTED) == 1, name
