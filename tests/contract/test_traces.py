"""Calls as OpenTelemetry sees them, at a real receiver: a span for each, one beneath it for each attempt, no content."""

import json

import pytest

from tests import otlp
from tests.contract.pairs import MODEL, open_pairs, plan
from tests.faults.clients import CHAT, MESSAGES, RESPONSES
from tests.live import until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CANARY = "canary-in-a-prompt"


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    with otlp.receiver(tmp_path_factory.mktemp("otlp") / "spans") as (url, spans):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
            yield spans


@pytest.fixture(scope="module")
def house(provider, received, tmp_path_factory):
    with open_pairs(tmp_path_factory.mktemp("traces"), provider) as running:
        yield running


def called(house, received, talk=CHAT, *, stream=False, **more):
    """Make a call; return its answer, its span, and those beneath it in their order."""
    answer = house.post(talk.path, talk.asks(stream=stream, model=more.pop("model", MODEL)), **more)
    request_id = answer.headers.get("x-request-id") or answer.headers["request-id"]

    def whole():
        found = received()
        roots = [each for each in found if each["attributes"].get("realms.request_id") == request_id]
        return [roots[0], *(each for each in found if each["parent"] == roots[0]["id"])] if roots else None

    until(whole)
    root, *attempts = whole()
    return answer, root, sorted(attempts, key=lambda each: each["begin"])


def test_a_call_is_a_span_with_one_beneath_it_for_each_attempt(house, received, sim):
    plan(sim, "status=503")
    answer, root, attempts = called(house, received)
    assert answer.status == 200
    assert (root["service"], root["kind"], root["name"]) == (
        "realms",
        "SPAN_KIND_SERVER",
        f"chat {root['attributes']['gen_ai.request.model']}",
    )
    assert not root["failed"]
    assert [(each["kind"], each["failed"]) for each in attempts] == [
        ("SPAN_KIND_CLIENT", True),
        ("SPAN_KIND_CLIENT", False),
    ]
    assert attempts[0]["attributes"]["error.type"] == "status_503"
    served = attempts[1]["attributes"]
    assert (served["gen_ai.operation.name"], served["gen_ai.provider.name"]) == ("chat", "openai")
    usage = house.record(root["attributes"]["realms.request_id"])
    assert int(served["gen_ai.usage.input_tokens"]) == usage["input_tokens"] + (usage["cache_read_tokens"] or 0)
    assert int(served["gen_ai.usage.output_tokens"]) == usage["output_tokens"] > 0
    assert "gen_ai.usage.input_tokens" not in root["attributes"] | attempts[0]["attributes"]
    assert root["begin"] <= attempts[0]["begin"] <= attempts[0]["end"] <= attempts[1]["end"] <= root["end"]


def test_the_clients_trace_is_continued_and_no_provider_learns_of_it(house, received, sim):
    since = max((request["n"] for request in sim.requests()), default=0)
    _, root, attempts = called(
        house, received, RESPONSES, stream=True, traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="a=b"
    )
    assert (root["trace"], root["parent"]) == (TRACE, SPAN)
    assert {each["trace"] for each in attempts} == {TRACE}
    headers = [{name.lower() for name, _ in request["headers"]} for request in sim.requests(since)]
    assert headers
    assert not {"traceparent", "tracestate"} & set().union(*headers)


@pytest.mark.parametrize(
    "bad", ["", "nonsense", f"00-{'0' * 32}-{SPAN}-01", "00-" + "f" * 5000, f"ff-{TRACE}-{SPAN}-01"]
)
def test_what_is_no_trace_begins_a_new_one(house, received, sim, bad):
    answer, root, _ = called(house, received, traceparent=bad)
    assert answer.status == 200
    assert root["parent"] == ""
    assert root["trace"] != TRACE


def test_a_client_that_wants_no_trace_leaves_none(house, received, sim):
    answer = house.post(CHAT.path, CHAT.asks(model=MODEL, stream=False), traceparent=f"00-{TRACE[::-1]}-{SPAN}-00")
    called(house, received)
    told = [each["attributes"].get("realms.request_id") for each in received()]
    assert answer.headers["x-request-id"] not in told


def test_a_failure_is_told_with_its_kind_and_nothing_of_the_content(house, received, sim):
    sim.control("POST", "faults", {"fault": "status=500", "count": 50})
    body = MESSAGES.asks(model=f"claude-{MODEL}", stream=True, messages=[{"role": "user", "content": CANARY}])
    answer = house.post(MESSAGES.path, body)
    assert answer.status >= 500
    request_id = answer.headers["request-id"]
    root = until(
        lambda: next((each for each in received() if each["attributes"].get("realms.request_id") == request_id), None)
    )
    assert root["failed"]
    assert root["attributes"]["realms.end"] == "refused"
    assert root["attributes"]["error.type"]
    assert root["attributes"]["http.response.status_code"] == str(answer.status)
    told = json.dumps(received())
    for secret in (CANARY, house.tokens["alice"], "sim-bad", "127.0.0.1", "alice@example.com"):
        assert secret not in told
