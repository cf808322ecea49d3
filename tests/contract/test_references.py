"""Law 1 inside bodies and queries: ids of stored objects go through the same gate as those in a path."""

import json

import pytest

from app.protocol.endpoints import BY_NAME, ObjectKind
from tests.contract.objects import UNKNOWN, make, told

CREATES = ["responses.create", "responses.compact", "responses.input_tokens"]
every_create = pytest.mark.parametrize("name", CREATES)


def with_input(item):
    return f'{{"model":"sim-1","input":[{{"role":"user","content":"x"}},{item}]}}'


REFERENCES = {
    "previous_response_id": (ObjectKind.RESPONSE, '{"model":"sim-1","input":"x","previous_response_id":"ID"}'),
    "an escaped name": (ObjectKind.RESPONSE, r'{"model":"sim-1","input":"x","previous\u005fresponse_\u0069d":"ID"}'),
    "conversation": (ObjectKind.CONVERSATION, '{"model":"sim-1","input":"x","conversation":"ID"}'),
    "a conversation object": (ObjectKind.CONVERSATION, '{"model":"sim-1","input":"x","conversation":{"id":"ID"}}'),
    "an escaped conversation": (
        ObjectKind.CONVERSATION,
        r'{"model":"sim-1","input":"x","c\u006fnversation":{"\u0069d":"ID"}}',
    ),
    "item_reference": (ObjectKind.ITEM, with_input('{"type":"item_reference","id":"ID"}')),
    "a reference without a type": (ObjectKind.ITEM, with_input('{"id":"ID"}')),
    "an image by its id alone": (ObjectKind.ITEM, with_input('{"type":"image_generation_call","id":"ID"}')),
    "an image without its data": (
        ObjectKind.ITEM,
        with_input('{"type":"image_generation_call","id":"ID","status":"completed","result":null}'),
    ),
    "a reference with a null type": (ObjectKind.ITEM, with_input('{"id":"ID","type":null}')),
    "an escaped id": (ObjectKind.ITEM, with_input(r'{"type":"item_reference","\u0069\u0064":"ID"}')),
    "an escaped type": (ObjectKind.ITEM, with_input(r'{"\u0074ype":"item\u005freference","id":"ID"}')),
    "space around": (ObjectKind.ITEM, with_input(' \n{ "id" : "ID" , "type" : "item_reference" }\t')),
}
every_reference = pytest.mark.parametrize(("kind", "body"), REFERENCES.values(), ids=REFERENCES)


def send(house, name, body, object_id, **more):
    """Send a body with an id in the place of ID, byte for byte."""
    return house.post(BY_NAME[name].path, body.replace("ID", object_id).encode(), **more)


@pytest.fixture(scope="module")
def alices(house):
    return {kind: make(house, kind) for kind in ObjectKind}


@pytest.mark.acceptance("B-6")
@every_create
@every_reference
def test_a_reference_to_anothers_object_is_as_one_to_none(house, alices, reached, name, kind, body):
    reached()
    foreign = send(house, name, body, alices[kind], who="bob")
    missing = send(house, name, body, UNKNOWN[kind], who="bob")
    assert told(foreign, alices[kind]) == told(missing, UNKNOWN[kind])
    error = foreign.json()["error"]
    if kind is ObjectKind.RESPONSE:
        assert (foreign.status, error["code"]) == (400, "previous_response_not_found")
    else:
        assert (foreign.status, error["code"]) == (404, f"{kind}_not_found")
    assert reached() == []


@pytest.mark.acceptance("B-6")
@every_create
@every_reference
def test_a_reference_to_an_own_object_goes_where_it_lives(house, alices, reached, name, kind, body):
    reached()
    answer = send(house, name, body, alices[kind], who="alice2")
    assert answer.status == 200
    (seen,) = reached()
    assert seen["key"] == "sim-main"
    assert seen["body"] == body.replace("ID", alices[kind])


@pytest.mark.acceptance("F-11")
@every_create
@pytest.mark.parametrize("first", ["message", "item_reference"])
def test_an_item_whose_type_stands_twice_is_refused(house, alices, reached, name, first):
    """Two readers of one body must not differ about what it refers to."""
    second = "message" if first == "item_reference" else "item_reference"
    body = with_input(f'{{"type":"{first}","id":"ID","role":"user","content":"x","type":"{second}"}}')
    for who in ("alice", "bob"):
        answer = send(house, name, body, alices[ObjectKind.ITEM], who=who)
        assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_json")
    assert reached() == []


@pytest.mark.acceptance("B-6")
@every_create
def test_the_second_of_two_references_is_looked_at_too(house, alices, reached, name):
    bobs = make(house, ObjectKind.ITEM, who="bob")
    reached()
    body = with_input('{"id":"MINE"},5,{"type":"item_reference","id":"ID"}').replace("MINE", bobs)
    assert send(house, name, body, alices[ObjectKind.ITEM], who="bob").status == 404
    assert reached() == []


@pytest.mark.parametrize(
    "value",
    ["", "..", "a/b", "resp_\n", "x" * 600, "resp_\0", "响应", 5, True, ["resp_x"], {"id": "resp_x"}],
    ids=repr,
)
@pytest.mark.parametrize("member", ["previous_response_id", "conversation", "item"])
def test_a_reference_that_can_be_none_is_refused_without_asking_upstream(house, reached, member, value):
    body = {"model": "sim-1", "input": "x", member: value}
    if member == "item":
        body = {"model": "sim-1", "input": [{"type": "item_reference", "id": value}]}
    answer = house.post("/v1/responses", body)
    assert answer.status in {400, 404}
    assert reached() == []


def test_an_item_of_a_page_that_its_owner_read_can_be_referred_to(house, reached):
    response = make(house, ObjectKind.RESPONSE)
    page = house.ask("GET", f"/v1/responses/{response}/input_items").json()
    item = page["data"][0]["id"]
    body = {"model": "sim-1", "input": [{"type": "item_reference", "id": item}]}
    assert house.post("/v1/responses", body, who="bob").status == 404
    assert house.post("/v1/responses", body).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_an_item_of_an_answer_can_be_referred_to(house, stream):
    answer = house.post("/v1/responses", {"model": "sim-1", "input": "x", "stream": stream})
    text = answer.body.decode()
    final = json.loads(text.rpartition("data: ")[2])["response"] if stream else json.loads(text)
    body = {"model": "sim-1", "input": [{"id": final["output"][0]["id"]}]}
    assert house.post("/v1/responses", body).status == 200
    assert house.post("/v1/responses", body, who="bob").status == 404


def test_a_full_item_with_anothers_id_is_no_reference_and_passes_untouched(house, alices, reached):
    item = {"type": "message", "role": "user", "id": alices[ObjectKind.ITEM], "content": "mine"}
    answer = house.post("/v1/responses", {"model": "sim-1", "input": [item]}, who="bob")
    assert answer.status == 200
    assert json.loads(reached()[0]["body"])["input"] == [item]


def test_objects_at_different_upstreams_cannot_be_used_together(house, alices, reached):
    other = make(house, ObjectKind.ITEM, model="other-1")
    reached()
    body = {"model": "sim-1", "previous_response_id": alices[ObjectKind.RESPONSE], "input": [{"id": other}]}
    answer = house.post("/v1/responses", body)
    assert (answer.status, answer.json()["error"]["code"]) == (400, "objects_at_different_upstreams")
    assert reached() == []


def test_a_model_of_another_upstream_cannot_continue_an_object(house, alices, reached):
    reached()
    body = {"model": "other-1", "input": "x", "previous_response_id": alices[ObjectKind.RESPONSE]}
    answer = house.post("/v1/responses", body)
    assert (answer.status, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert reached() == []


@pytest.mark.acceptance("B-6")
def test_items_put_into_a_conversation_go_through_the_gate(house, alices, reached):
    bobs = make(house, ObjectKind.CONVERSATION, who="bob")
    reached()
    body = {"items": [{"type": "item_reference", "id": alices[ObjectKind.ITEM]}]}
    assert house.post(f"/v1/conversations/{bobs}/items", body, who="bob").status == 404
    assert house.post("/v1/conversations", body, who="bob").status == 404
    assert reached() == []


@pytest.mark.acceptance("B-8")
@pytest.mark.parametrize("after", ["alices", "unknown", "..", "%00", "", "%27%20OR%201=1--"])
def test_a_cursor_that_is_not_the_callers_is_unknown(house, reached, after):
    alices = make(house, ObjectKind.CHAT_COMPLETION)
    reached()
    cursor = alices if after == "alices" else after
    answer = house.ask("GET", f"/v1/chat/completions?after={cursor}", who="carol")
    if after == "":
        assert alices not in [shown["id"] for shown in answer.json()["data"]]
        return
    missing = house.ask("GET", f"/v1/chat/completions?after={UNKNOWN[ObjectKind.CHAT_COMPLETION]}", who="carol")
    assert missing.status == answer.status == 404
    assert answer.json()["error"]["param"] == "after"
    if after == "alices":
        assert told(answer, alices) == told(missing, UNKNOWN[ObjectKind.CHAT_COMPLETION])
    assert reached() == []


@pytest.mark.acceptance("B-8")
@pytest.mark.parametrize("cursor", ["after", "before"])
@pytest.mark.parametrize("page", ["responses/ID/input_items", "conversations/ID/items"])
def test_a_page_of_items_begins_and_ends_at_the_callers_items_alone(house, alices, reached, page, cursor):
    kind = ObjectKind.RESPONSE if page.startswith("responses") else ObjectKind.CONVERSATION
    path = "/v1/" + page.replace("ID", make(house, kind, who="bob"))
    reached()
    foreign = house.ask("GET", f"{path}?{cursor}={alices[ObjectKind.ITEM]}", who="bob")
    missing = house.ask("GET", f"{path}?{cursor}={UNKNOWN[ObjectKind.ITEM]}", who="bob")
    assert told(foreign, alices[ObjectKind.ITEM]) == told(missing, UNKNOWN[ObjectKind.ITEM])
    assert foreign.status == 404
    assert reached() == []
