"""K-7: a worker that is full refuses new calls at once, in their protocol, and everything else goes on."""

import json
import re
import time
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest

from app.services import catalog, upstreams
from tests import live
from tests.faults.clients import CHAT, RESPONSES, Client
from tests.live import ask, until

pytestmark = pytest.mark.slow
TOKEN = "a-token-for-metrics"
LONG = "events=4000,gap=0.05"


@pytest.fixture
def small(provider, tmp_path):
    """A house whose worker carries two calls."""
    with live.database("sqlite", tmp_path, "full") as url:
        settings = {"worker_connections": "4", "metrics_token": TOKEN}
        with live.open_house(tmp_path, url, provider, **settings) as house:
            yield house


def numbers(house):
    text = ask(house.port, "GET", "/metrics", headers={"authorization": f"Bearer {TOKEN}"}).body.decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.acceptance("K-7")
def test_k7_what_is_too_much_is_refused_at_once_and_what_runs_goes_on(small, sim):
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(small).send(talk, LONG)) for talk in (RESPONSES, CHAT)]
        assert [client.answer.status for client in clients] == [200, 200]
        assert numbers(small)["realms_calls_running"] == numbers(small)["realms_calls_most"] == 2
        since = time.monotonic()
        answers = [
            small.post("/v1/responses", {"model": "sim-1", "input": "x"}),
            small.post("/v1/messages", {"model": "claude-sim-1", "max_tokens": 9, "messages": []}),
        ]
        took = time.monotonic() - since
        assert [(answer.status, int(answer.headers["retry-after"]) >= 1) for answer in answers] == [
            (503, True),
            (529, True),
        ]
        assert answers[0].json()["error"]["code"] == "overloaded"
        assert answers[1].json()["error"]["type"] == "overloaded_error"
        assert took < 1
        assert ask(small.port, "GET", "/healthz").status == 200
        for client in clients:
            assert client.answer.fp.readline()
    until(lambda: numbers(small)["realms_calls_running"] == 0)
    assert small.post("/v1/responses", {"model": "sim-1", "input": "x"}).status == 200
    found = numbers(small)
    assert found['realms_calls_total{endpoint="responses.create",status="503",end="refused"}'] == 1
    assert found['realms_calls_total{endpoint="responses.create",status="200",end="completed"}'] == 1


@pytest.mark.acceptance("I-5")
def test_what_an_operator_must_know_of_can_be_counted(small, sim):
    small.ask("GET", "/v1/responses/resp_nobodys")
    form = ask(small.port, "GET", "/login")
    sent = {"cookie": form.headers["set-cookie"].partition(";")[0], "content-type": "application/x-www-form-urlencoded"}
    token = re.search(rb'name="csrf_token"[^>]*value="([^"]+)"', form.body)[1].decode()
    guess = urlencode({"email": "alice@example.com", "password": "not hers at all", "csrf_token": token}).encode()
    assert ask(small.port, "POST", "/login", body=guess, headers=sent).status == 200
    small.changed(lambda: _add_refused(small))
    assert small.post("/v1/responses", {"model": "inside", "input": "x"}).status == 502
    found = numbers(small)
    for event in ("object_not_found", "sign_in_failed", "egress_refused"):
        assert found[f'realms_events_total{{event="{event}"}}'] == 1, event
    assert "alice@example.com" not in small.log.read_text()
    assert "127.0.0.1" not in json.dumps([line for line in small.lines() if line["event"] == "sign_in_failed"])


def _add_refused(house):
    made = upstreams.create(
        name="inside", kind="openai", base_url="http://10.0.0.1/v1", key="sim-x", priority=0, weight=1, actor=None
    )
    catalog.import_models(made.id, {"inside": None}, actor=None)
