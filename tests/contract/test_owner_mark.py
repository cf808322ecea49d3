"""The owner's mark in the metadata of stored chat completions: forced, opaque, and out of the client's hands."""

import json
import re

import pytest

CREATE = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]


def store(house, metadata, who="alice", **more):
    body = {"model": "sim-1", "messages": MESSAGES, "store": True} | more
    return house.post(CREATE, body if metadata is ... else body | {"metadata": metadata}, who=who)


def sent(reached):
    return json.loads(reached()[-1]["body"])


def mark_of(house, reached, who):
    reached()
    store(house, ..., who=who)
    return sent(reached)["metadata"]["realms_owner"]


@pytest.mark.acceptance("B-9")
@pytest.mark.parametrize(
    "given", [..., None, {}, {"topic": "x"}, {"realms_owner": "bob"}, {"topic": "x", "realms_owner": "2"}]
)
@pytest.mark.parametrize("stream", [False, True])
def test_the_mark_is_forced_into_what_is_stored(house, reached, given, stream):
    mark = mark_of(house, reached, "alice")
    assert store(house, given, stream=stream).status == 200
    others = {} if given in (..., None) else {k: v for k, v in given.items() if k != "realms_owner"}
    assert sent(reached)["metadata"] == others | {"realms_owner": mark}


@pytest.mark.acceptance("B-9")
def test_the_mark_is_one_for_each_user_opaque_and_the_same_for_all_tokens(house, reached):
    marks = {who: mark_of(house, reached, who) for who in ("alice", "alice2", "bob", "carol")}
    assert marks["alice"] == marks["alice2"]
    assert len(set(marks.values())) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", mark) for mark in marks.values())


def test_sixteen_keys_of_the_clients_own_leave_no_room_for_the_mark(house, reached):
    full = {f"key{n}": "x" for n in range(16)}
    answer = store(house, full)
    assert answer.status == 200
    assert sent(reached)["metadata"] == full
    object_id = answer.json()["id"]
    assert house.ask("GET", f"{CREATE}/{object_id}").status == 200
    assert house.ask("GET", f"{CREATE}/{object_id}", who="bob").status == 404


def test_a_clients_mark_among_sixteen_keys_is_replaced(house, reached):
    full = {f"key{n}": "x" for n in range(15)} | {"realms_owner": "bob"}
    assert store(house, full).status == 200
    metadata = sent(reached)["metadata"]
    assert len(metadata) == 16
    assert metadata["realms_owner"] != "bob"


@pytest.mark.parametrize("metadata", ["x", 5, [], ["a"], True])
def test_metadata_that_is_no_object_is_the_clients_error(house, reached, metadata):
    answer = store(house, metadata)
    assert (answer.status, answer.json()["error"]["param"]) == (400, "metadata")
    object_id = store(house, ...).json()["id"]
    reached()
    assert house.post(f"{CREATE}/{object_id}", {"metadata": metadata}).status == 400
    assert reached() == []


def test_what_is_not_stored_carries_no_mark(house, reached):
    body = {"model": "sim-1", "messages": MESSAGES, "metadata": {"realms_owner": "mine"}}
    house.post(CREATE, body)
    assert sent(reached) == body
    house.post(CREATE, body | {"store": False})
    assert sent(reached) == body | {"store": False}


@pytest.mark.acceptance("B-9")
def test_an_update_keeps_the_clients_metadata_and_forces_the_mark_again(house, reached):
    mark = mark_of(house, reached, "alice")
    object_id = store(house, {"a": "1"}).json()["id"]
    answer = house.post(f"{CREATE}/{object_id}", {"metadata": {"b": "2", "realms_owner": "bob"}})
    assert answer.status == 200
    assert answer.json()["metadata"] == {"b": "2", "realms_owner": mark}
    assert house.ask("GET", f"{CREATE}/{object_id}").json()["metadata"] == {"b": "2", "realms_owner": mark}


def test_the_rest_of_a_stored_request_reaches_the_provider_byte_for_byte(house, reached):
    body = (
        b'{"messages":[{"role":"user","content":"\\u0068i \xe5\x93\x8d"}],"z":1.0,"seed":9007199254740993,'
        b'"model":"sim-1","metadata":{"k":"\\u0076","n":"2"},"store":true,"a":{"x":1e5}}'
    )
    assert house.post(CREATE, body).status == 200
    seen = reached()[-1]["body"].encode()
    marked = re.sub(rb',"realms_owner":"[0-9a-f]{32}"', b"", seen)
    assert marked == body
