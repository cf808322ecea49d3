"""A request takes the shape that one upstream wants, and no more of it changes than that."""

import json

import msgspec
import pytest

from app.protocol.call import Call, Caller, Place, Target
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.protocol.policy import Policy
from app.upstreams import UPSTREAMS


def a_call(body, name="responses.create", **more):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"model": json.loads(raw)["model"], "caller": Caller(1, 1, "mark")} | more
    return Call(id="c", request_id="r", endpoint=BY_NAME[name], body=parse(raw), **fields)


def outgoing(call, policy=None, *, model="", kind="openai"):
    place = Place(1, 2, kind, "http://a/v1", "secret", policy or Policy())
    return UPSTREAMS[kind].prepare(call, Target(place, model))


def sent(body, policy=None, *, name="responses.create", model="", **more):
    return json.loads(outgoing(a_call({"model": "m"} | body, name, **more), policy, model=model).body)


def test_without_a_wish_the_bytes_are_the_callers():
    raw = b'{ "model":"m", "input" : "x", "big": 12345678901234567890123 }'
    assert outgoing(a_call(raw)).body == raw
    assert outgoing(a_call(raw), Policy(drop=("user",), first_byte_s=1)).body == raw


@pytest.mark.parametrize(
    ("policy", "body", "wanted"),
    [
        (Policy(drop=("user",)), {"user": "u", "n": 1}, {"n": 1}),
        (
            Policy(drop=("reasoning.summary",)),
            {"reasoning": {"summary": "auto", "effort": "low"}},
            {"reasoning": {"effort": "low"}},
        ),
        (Policy(drop=("reasoning.summary",)), {"reasoning": "x"}, {"reasoning": "x"}),
        (Policy(set={"reasoning.effort": "high"}), {}, {"reasoning": {"effort": "high"}}),
        (Policy(set={"reasoning.effort": "high"}), {"reasoning": {"a": 1}}, {"reasoning": {"a": 1, "effort": "high"}}),
        (Policy(set={"a.b.c": [1]}), {"a": 5}, {"a": {"b": {"c": [1]}}}),
        (Policy(set={"top_p": 1}, drop=("top_p",)), {"top_p": 0.5}, {"top_p": 1}),
        (Policy(service_tiers=("default",)), {"service_tier": "priority"}, {}),
        (Policy(service_tiers=("default",)), {"service_tier": "default"}, {"service_tier": "default"}),
        (Policy(service_tiers=()), {"service_tier": "flex"}, {}),
        (Policy(store=False), {"store": True}, {"store": False}),
        (Policy(store=False), {}, {"store": False}),
    ],
)
def test_members_are_set_and_left_out(policy, body, wanted):
    assert sent(body, policy) == {"model": "m"} | wanted


def test_numbers_beside_a_changed_member_stay_exact():
    raw = b'{"model":"m","a":{"b":1,"big":12345678901234567890123}}'
    told = outgoing(a_call(raw), Policy(drop=("a.b",))).body
    assert b"12345678901234567890123" in told


def test_the_effort_of_reasoning_may_stand_in_the_models_name():
    policy = Policy(effort_suffix=True)
    assert sent({"model": "gpt-high"}, policy) == {"model": "gpt", "reasoning": {"effort": "high"}}
    assert sent({"model": "gpt-high"}, policy, name="chat.create") == {"model": "gpt", "reasoning_effort": "high"}
    assert sent({"model": "x"}, policy, model="theirs-low") == {"model": "theirs", "reasoning": {"effort": "low"}}
    assert sent({"model": "gpt-high"}) == {"model": "gpt-high"}


def test_where_nothing_is_kept_a_chat_is_neither_stored_nor_marked():
    assert sent({"store": True}, Policy(store=False), name="chat.create", stores=True) == {"model": "m"}
    assert "metadata" in sent({"store": True}, name="chat.create", stores=True)
    assert "metadata" not in sent({"store": True}, Policy(metadata=False), name="chat.create", stores=True)


def test_a_streams_usage_is_asked_for_where_that_is_allowed():
    assert "stream_options" in sent({"stream": True}, name="chat.create", stream=True)
    assert "stream_options" not in sent({"stream": True}, Policy(stream_options=False), name="chat.create", stream=True)


def test_what_realms_forces_comes_last():
    policy = Policy(set={"metadata.realms_owner": "forged"})
    assert sent({"store": True}, policy, name="chat.create", stores=True)["metadata"] == {"realms_owner": "mark"}


@pytest.mark.parametrize(
    ("auth", "header"),
    [("", "authorization"), ("bearer", "authorization"), ("x-api-key", "x-api-key"), ("api-key", "api-key")],
)
def test_the_secret_travels_as_the_policy_says(auth, header):
    headers = dict(outgoing(a_call({"model": "m"}), Policy(auth=auth)).headers)
    assert headers == {header: "Bearer secret" if header == "authorization" else "secret"}
    assert dict(outgoing(a_call({"model": "m"}), Policy(auth="none")).headers) == {}


def test_headers_and_query_are_added():
    policy = Policy(set_headers={"X-Title": "Realms"}, query="api-version=preview")
    made = outgoing(a_call({"model": "m"}, query="beta=true"), policy)
    assert dict(made.headers)["x-title"] == "Realms"
    assert made.url == "http://a/v1/responses?beta=true&api-version=preview"
    assert UPSTREAMS["openai"].list_request(Place(1, 2, "openai", "http://a/v1", "k", policy)) == (
        "http://a/v1/models?api-version=preview",
        {"authorization": "Bearer k", "X-Title": "Realms"},
    )


def test_one_places_policy_never_shows_at_another():
    call = a_call({"model": "m", "user": "u"})
    before = call.body.body
    outgoing(call, Policy(drop=("user",), set={"x": 1}))
    assert outgoing(call).body == before == call.body.body
    assert msgspec.json.decode(before)["user"] == "u"
