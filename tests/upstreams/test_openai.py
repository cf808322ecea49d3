"""How a call is put to an OpenAI-compatible upstream: what is changed in a body, and that nothing else is."""

import json

import pytest

from app.protocol.call import Place, Target
from app.protocol.endpoints import BY_NAME, ENDPOINTS, Protocol
from app.protocol.errors import Problem, RelayError
from app.upstreams.openai import METADATA_MAX, OpenAI
from tests.upstreams.test_base import a_call

PLACE = Place(1, 2, "openai", "https://api.example/v1", "sk-secret")
CHAT, RESPONSE = BY_NAME["chat.create"], BY_NAME["responses.create"]


def sent(endpoint, body, *, model="", **more):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return OpenAI().prepare(a_call(endpoint, raw, **more), Target(PLACE, model)).body


def test_it_serves_every_openai_endpoint_and_no_other():
    assert OpenAI.served == {e.name for e in ENDPOINTS if e.protocol is Protocol.OPENAI}


@pytest.mark.parametrize("model", ["", "m"])
def test_a_body_that_needs_no_change_is_the_callers_own(model):
    raw = b' {"model":"m" ,"n":9007199254740993,"f":1.0} '
    assert sent(RESPONSE, raw, model=model) == raw


def test_a_route_that_renames_changes_the_model_alone():
    assert sent(RESPONSE, b'{"n":1.0,"model":"m","z":2}', model='other "quoted"') == (
        b'{"n":1.0,"model":"other \\"quoted\\"","z":2}'
    )


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (..., {"include_usage": True}),
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_usage": None, "x": 1}, {"include_usage": True, "x": 1}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
    ],
)
def test_usage_is_asked_for_where_the_caller_does_not(options, asked):
    body = {"model": "m"} if options is ... else {"model": "m", "stream_options": options}
    call = a_call(CHAT, json.dumps(body).encode(), stream=True)
    assert OpenAI().hides_usage(call)
    assert json.loads(sent(CHAT, body, stream=True)) == {"model": "m", "stream_options": asked}


@pytest.mark.parametrize("options", [{"include_usage": True}, 5, "x", []])
def test_usage_that_the_caller_asks_for_or_options_that_are_none_pass_untouched(options):
    raw = json.dumps({"model": "m", "stream_options": options}).encode()
    assert sent(CHAT, raw, stream=True) == raw
    assert not OpenAI().hides_usage(a_call(CHAT, raw, stream=True))


@pytest.mark.parametrize(("endpoint", "stream"), [(CHAT, False), (RESPONSE, True), (RESPONSE, False)])
def test_nobody_else_is_asked_for_usage(endpoint, stream):
    raw = b'{"model":"m"}'
    assert sent(endpoint, raw, stream=stream) == raw


@pytest.mark.parametrize(
    ("metadata", "marked"),
    [
        (..., {"realms_owner": "mark"}),
        (None, {"realms_owner": "mark"}),
        ({"a": "1"}, {"a": "1", "realms_owner": "mark"}),
        ({"realms_owner": "bob", "a": "1"}, {"a": "1", "realms_owner": "mark"}),
        ({f"k{n}": "v" for n in range(15)}, {f"k{n}": "v" for n in range(15)} | {"realms_owner": "mark"}),
    ],
    ids=["absent", "null", "own keys", "a mark", "fifteen keys"],
)
def test_the_owners_mark_is_forced_into_what_is_stored(metadata, marked):
    body = {"model": "m"} if metadata is ... else {"model": "m", "metadata": metadata}
    assert json.loads(sent(CHAT, body, stores=True))["metadata"] == marked


def test_sixteen_keys_leave_no_room_and_the_body_passes_untouched():
    raw = json.dumps({"model": "m", "metadata": {f"k{n}": "v" for n in range(METADATA_MAX)}}).encode()
    assert sent(CHAT, raw, stores=True) == raw


@pytest.mark.parametrize("metadata", ["x", 5, [], True])
def test_metadata_that_is_no_object_is_the_callers_error(metadata):
    with pytest.raises(RelayError) as refused:
        sent(CHAT, {"model": "m", "metadata": metadata}, stores=True)
    assert (refused.value.problem, refused.value.param) == (Problem.INVALID_TYPE, "metadata")


def test_what_is_not_stored_and_what_is_no_chat_gets_no_mark():
    raw = b'{"model":"m","metadata":{"a":"1"}}'
    assert sent(CHAT, raw, stores=False) == raw
    assert sent(RESPONSE, raw, stores=True) == raw


def test_all_changes_come_together_and_the_rest_keeps_its_bytes():
    raw = b'{"z":1.10,"model":"m","messages":[{"a":1e5}],"metadata":{"k":"\\u0061"}}'
    told = sent(CHAT, raw, model="theirs", stores=True, stream=True)
    assert told == (
        b'{"z":1.10,"model":"theirs","messages":[{"a":1e5}],'
        b'"metadata":{"k":"\\u0061","realms_owner":"mark"},"stream_options":{"include_usage":true}}'
    )


def test_the_list_of_models_is_asked_for_with_the_key():
    assert OpenAI().list_request(Place(1, 2, "openai", "https://a.example", "k")) == (
        "https://a.example/v1/models",
        {"authorization": "Bearer k"},
    )
