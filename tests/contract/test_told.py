"""Errors of every kind as the official SDKs read them, and usage of every shape as it ends in the record."""

import anthropic
import openai
import pytest
from openai.types.responses import ResponseErrorEvent

from app.protocol.endpoints import ENDPOINTS
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, call, name_of

talks = pytest.mark.parametrize("talk", TALKS, ids=name_of)
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "plain"])


def recorded(house, got, **wanted):
    """The record of a call, checked to say what is wanted."""
    record = house.record(got.request_id)
    assert {name: record[name] for name in wanted} == wanted
    return record


# -- as the official SDKs see it


@pytest.fixture
def sdk(openai_of, anthropic_of):
    """What makes a call of each kind in the official clients."""
    return {
        "responses": openai_of().responses.create,
        "chat": openai_of().chat.completions.create,
        "messages": anthropic_of().messages.create,
    }


@pytest.mark.acceptance("G-13")
@talks
@both
@pytest.mark.parametrize(
    ("options", "status"), [("fault=reset", 502), ("fault=html", 502), ("status=503", 503), ("status=429", 429)]
)
def test_the_sdks_raise_their_own_errors(sdk, sim, talk, stream, options, status):
    theirs = anthropic if talk is MESSAGES else openai
    with pytest.raises(theirs.APIStatusError) as raised:
        sdk[talk.name](**talk.asks(options, stream=stream))
    assert raised.value.status_code == (529 if talk is MESSAGES and status == 503 else status)
    assert raised.value.request_id
    if status == 429:
        assert isinstance(raised.value, theirs.RateLimitError)
        assert int(raised.value.response.headers["retry-after"]) >= 1
    else:
        assert isinstance(raised.value, theirs.InternalServerError)


@pytest.mark.acceptance("G-13")
@talks
@pytest.mark.parametrize(
    "options", ["events=40,fault=cut_at:4500", "events=5,fault=no_terminal:3", "fault=error_after:3:500"]
)
def test_the_sdks_read_an_error_event_as_one(sdk, sim, talk, options):
    seen = []

    def read():
        seen.extend(sdk[talk.name](**talk.asks(options)))

    if talk is RESPONSES:
        read()
        assert isinstance(seen[-1], ResponseErrorEvent)
        assert seen[-1].message
        assert isinstance(seen[-1].sequence_number, int)
    else:
        with pytest.raises((anthropic if talk is MESSAGES else openai).APIError) as raised:
            read()
        assert raised.value.message
    assert seen


# -- usage of every shape ends in the record

COUNTS = ("input_tokens", "cache_read_tokens", "output_tokens")


@pytest.mark.acceptance("K-4")
@talks
@both
@pytest.mark.parametrize("shape", ["fault=usage_absent", "fault=usage_odd", "input=0,output=0"])
def test_strange_usage_is_recorded_as_what_it_is(house, sim, talk, stream, shape):
    got = call(house, talk, f"events=3,{shape}", stream=stream)
    record = recorded(house, got, status=200, end="completed")
    if "absent" in shape:
        assert (record["usage_state"], record["usage_raw"]) == ("estimated", None)
        assert 10 <= record["input_tokens"] == record["bytes_in"] // 4
    elif "odd" in shape:
        assert record["usage_state"] in {"partial", "estimated"}
        assert all(record[name] is None or 0 <= record[name] < 10**9 for name in COUNTS)
        assert record["usage_raw"]
    else:
        assert (record["usage_state"], record["input_tokens"], record["output_tokens"]) == ("reported", 0, 0)


@pytest.mark.acceptance("K-3")
@talks
@both
@pytest.mark.parametrize("events", [3, 3000])
def test_usage_is_recorded_as_the_provider_counts(house, sim, talk, stream, events):
    told = "input=1000,output=70,cached=400" + (",cache_write=100" if talk is MESSAGES else ",reasoning=30")
    got = call(house, talk, f"events={events},{told}", stream=stream)
    fresh = 500 if talk is MESSAGES else 600
    record = recorded(house, got, usage_state="reported", input_tokens=fresh, cache_read_tokens=400)
    assert record["output_tokens"] == 70
    if talk is MESSAGES:
        assert (record["cache_write_5m_tokens"], record["cache_write_1h_tokens"]) == (100, 0)
    else:
        assert record["reasoning_tokens"] == 30


def test_a_message_cut_after_its_start_is_counted_as_far_as_it_told(house, sim):
    got = call(house, MESSAGES, "events=50,input=1000,cached=400,fault=no_terminal:20")
    record = recorded(house, got, end="upstream_cut", usage_state="estimated")
    assert (record["input_tokens"], record["cache_read_tokens"]) == (600, 400)
    assert 10 <= record["output_tokens"] <= 20, "what came is counted by its events"


METERED = {
    "/v1/responses": RESPONSES,
    "/v1/responses/compact": RESPONSES,
    "/v1/responses/input_tokens": RESPONSES,
    "/v1/chat/completions": CHAT,
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": MESSAGES,
}


@pytest.mark.acceptance("K-3")
def test_every_way_to_use_a_model_is_counted_once(house, sim):
    assert set(METERED) == {endpoint.path for endpoint in ENDPOINTS if endpoint.metered}
    for path, talk in METERED.items():
        for stream in (False, True):
            name = f"counted-{path.replace('/', '-')}-{stream}"
            assert house.post(path, talk.asks(stream=stream), x_request_id=name, **spelled(talk)).status == 200
            house.record(name)
            (kept,) = house.rows(f"SELECT endpoint, status FROM records WHERE request_id = '{name}'")
            assert kept["status"] == 200


def spelled(talk):
    return {name.replace("-", "_"): value for name, value in talk.headers.items()}
