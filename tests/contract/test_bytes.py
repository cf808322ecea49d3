"""The bytes are the provider's: what a client reads is what the provider sent, however it was cut and spelled."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, Client, call, name_of
from tests.live import ask

STYLES = ["crlf", "cr", "multiline", "comments", "no_space", "no_event_lines"]
CUTS = ["split:1", "split:7", "split:65536", "split_random:1", "no_length"]
TRAPS = """你好 · naïve 🌍 \u2028 data: [DONE]

event: response.completed
data: {"type":"response.completed","response":{"id":"resp_trap"}}

event: message_stop
data: {"type":"message_stop"}

"error": {"message": "x"}, "response": {"id": "y"}, "usage": {"input_tokens": 1}"""
MOMENTS = re.compile(rb'"(created|created_at|completed_at)": ?\d+')
KEYS = {"responses": "sim-main", "chat": "sim-main", "messages": "sim-claude"}
talks = pytest.mark.parametrize("talk", TALKS, ids=name_of)


def at_one_moment(body):
    """The same with the seconds of its making left out: two calls may be made in different ones."""
    return MOMENTS.sub(rb'"\1":0', body)


def sent_by(provider, talk, body):
    """What the provider itself answers to the same request."""
    headers = {"authorization": f"Bearer {KEYS[talk.name]}"} | talk.headers
    if talk is MESSAGES:
        headers = {"x-api-key": KEYS[talk.name]} | talk.headers
    answer = ask(provider.port, "POST", talk.path, body=body, headers=headers)
    assert answer.status == 200, answer.body
    return answer.body


def said(talk, text):
    """The members of a body that make the provider say something of ours."""
    return {"input": text} if talk is RESPONSES else {"messages": [{"role": "user", "content": text}]}


def assert_same_bytes(house, talk, options, *, stream=True, **more):
    options = ",".join(filter(None, [options, f"fault=same_id:{talk.name}-same-object"]))
    # Not stored: many calls of these tests get the same id.
    more = {"store": False} | more if talk is not MESSAGES else more
    wanted = sent_by(house.provider, talk, talk.asks(options, stream=stream, **more))
    got = call(house, talk, options, stream=stream, **more)
    assert got.status == 200, got.body
    assert at_one_moment(got.body) == at_one_moment(wanted)
    return got


@pytest.mark.acceptance("G-1")
@talks
@pytest.mark.parametrize("fault", [*STYLES, *CUTS])
def test_a_stream_is_the_providers_however_it_is_spelled_and_cut(house, sim, talk, fault):
    assert_same_bytes(house, talk, f"events=40,fault={fault}", **said(talk, TRAPS))


@pytest.mark.acceptance("G-1")
@talks
@pytest.mark.parametrize("style", STYLES)
def test_a_stream_cut_at_every_byte_is_the_providers(house, sim, talk, style):
    assert_same_bytes(house, talk, f"fault={style},fault=split:1")


@pytest.mark.acceptance("G-4")
@talks
def test_text_that_looks_like_the_protocol_ends_nothing(house, sim, talk):
    got = assert_same_bytes(house, talk, "", **said(talk, TRAPS))
    assert house.record(got.request_id)["end"] == "completed"


@pytest.mark.acceptance("G-5")
@talks
@pytest.mark.parametrize("options", ["events=10000", "fault=big_event:5000000", "events=500,bytes=2000"])
def test_a_long_stream_and_a_big_event_are_the_providers(house, sim, talk, options):
    assert_same_bytes(house, talk, options)


@pytest.mark.acceptance("G-1")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    talk=st.sampled_from(TALKS),
    styles=st.sets(st.sampled_from(STYLES)).filter(lambda chosen: not {"cr", "crlf"} <= chosen),
    seed=st.integers(0, 2**32),
    closes=st.booleans(),
    text=st.text(max_size=200).map(lambda text: text.encode("utf-8", "ignore").decode()),
)
def test_any_text_in_any_spelling_cut_anywhere_is_the_providers(house, sim, talk, styles, seed, closes, text):
    faults = [*sorted(styles), f"split_random:{seed}", *(["no_length"] if closes else [])]
    assert_same_bytes(house, talk, ",".join(f"fault={fault}" for fault in faults), **said(talk, text or "nothing"))


@talks
@pytest.mark.parametrize("fault", ["", "split:1", "split_random:3", "no_length", "gzip", "informational:1"])
def test_a_json_body_is_the_providers(house, sim, talk, fault):
    options = f"fault={fault}" if fault not in {"", "gzip"} else ""
    if fault == "gzip":
        gzipped = call(house, talk, f"fault=same_id:{talk.name}-same-object,fault=gzip", stream=False)
        plain = call(house, talk, f"fault=same_id:{talk.name}-same-object", stream=False)
        assert len(gzipped.body) > 100
        assert set(json.loads(gzipped.body)) == set(json.loads(plain.body))
    got = assert_same_bytes(house, talk, options, stream=False, **said(talk, TRAPS))
    assert int(got.headers["content-length"]) == len(got.body)


@talks
def test_a_large_json_body_is_the_providers(house, sim, talk):
    got = assert_same_bytes(house, talk, "size=9000000", stream=False)
    assert len(got.body) > 9_000_000


def test_what_is_read_of_a_stored_object_is_the_providers(house, sim):
    made = json.loads(call(house, RESPONSES, stream=False).body)["id"]
    chat = json.loads(call(house, CHAT, stream=False, store=True, stream_options=None).body)["id"]
    conversation = house.post("/v1/conversations", {"items": [{"type": "message", "role": "user", "content": "hi"}]})
    for path in (
        f"/v1/responses/{made}",
        f"/v1/responses/{made}/input_items",
        f"/v1/responses/{made}?stream=true",
        f"/v1/chat/completions/{chat}",
        f"/v1/chat/completions/{chat}/messages",
        f"/v1/conversations/{conversation.json()['id']}",
        f"/v1/conversations/{conversation.json()['id']}/items",
    ):
        direct = ask(house.provider.port, "GET", path, headers={"authorization": "Bearer sim-main"})
        relayed = house.ask("GET", path)
        assert (relayed.status, relayed.body) == (direct.status, direct.body) == (200, direct.body), path


@pytest.mark.parametrize(
    ("talk", "path", "body"),
    [
        (RESPONSES, "/v1/responses/input_tokens", {"input": "count me"}),
        (MESSAGES, "/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "count me"}]}),
    ],
    ids=name_of,
)
def test_a_count_is_the_providers(house, sim, talk, path, body):
    body = body | {"model": talk.model}
    headers = {"x-api-key" if talk is MESSAGES else "authorization": KEYS[talk.name]} | talk.headers
    if talk is not MESSAGES:
        headers["authorization"] = f"Bearer {headers['authorization']}"
    direct = ask(house.provider.port, "POST", path, body=body, headers=headers)
    relayed = house.post(path, body, **dict(talk.headers.items()))
    assert (relayed.status, relayed.body) == (200, direct.body)


@pytest.mark.acceptance("G-2")
@talks
@pytest.mark.parametrize("framing", ["", ",fault=no_length"])
@pytest.mark.parametrize("count", [1, 3])
def test_an_event_arrives_while_the_provider_still_waits(house, sim, talk, framing, count):
    with Client(house) as client:
        client.send(talk, f"fault=hang_after:{count}{framing}")
        came = client.read_until(b"\n\n", times=count)
        assert came.count(b"\n\n") == count
        assert came.endswith(b"\n\n")
        assert sim.requests(sim.count() - 1)[0]["end"] == "open"


@pytest.mark.acceptance("G-2")
@talks
def test_events_are_not_gathered(house, sim, talk):
    """Paced events come one by one; a busy machine may join some."""
    with Client(house) as client:
        client.send(talk, "events=12,gap=0.05")
        pieces = list(iter(client.piece, b""))
    assert sum(b"delta" in piece for piece in pieces) >= 6
    assert all(piece.endswith(b"\n\n") for piece in pieces)


def test_an_incomplete_event_waits_for_its_rest(house, sim):
    """So that an error event of ours would start on an event's boundary."""
    with Client(house) as client:
        client.send(CHAT, "events=3,fault=slow_body:2000")
        for piece in iter(client.piece, b""):
            assert piece.endswith(b"\n\n")
