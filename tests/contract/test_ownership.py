"""Law 1: every id in a path goes through one gate; what is not the caller's is as what does not exist.

The cases come from ENDPOINTS: a new row is tested without a word here.
"""

import re
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from app.protocol.endpoints import BY_NAME, ENDPOINTS, Kind, ObjectKind
from tests.contract.objects import TAKES_ID, UNKNOWN, call, make, make_with_item, path_of, told
from tests.live import ask

KINDS = [kind for kind in ObjectKind if kind is not ObjectKind.ITEM]
STORED = [(ObjectKind.RESPONSE, "/v1/responses"), (ObjectKind.CHAT_COMPLETION, "/v1/chat/completions")]
NO_OBJECT = {"/v1/models/<path:model>", "/v1/usage/conversations/<path:key>", "/v1/<path:rest>"}
"""Rules with a variable that names no stored object."""
MALFORMED = {
    "dots": "..",
    "dots in hex": "%2e%2e",
    "slash": "a/../b",
    "slash in hex": "a%2fb",
    "backslash": "..%5c..",
    "newline": "resp_a%0d%0ax-evil:1",
    "NUL": "resp_%00",
    "not UTF-8": "resp_%ff",
    "question mark": "resp%3fa=b",
    "hash": "resp%23a",
    "space": "resp%20",
    "other script": quote("响应"),
    "empty": "",
    "7 KB": "r" * 7_000,
    "10 KB": "r" * 10_240,
}
every_endpoint = pytest.mark.parametrize("endpoint", TAKES_ID, ids=lambda endpoint: endpoint.name)


@pytest.fixture(scope="module")
def kept(house):
    """One object of each kind of Alice's, and of each what isn't hers to reach."""
    conversation, item = make_with_item(house)
    ids = {kind: make(house, kind) for kind in ObjectKind}
    return SimpleNamespace(
        ids=ids | {ObjectKind.CONVERSATION: conversation},
        item=item,
        bobs=make_with_item(house, who="bob"),
    )


def directly(house, kind, **more):
    """Make an object at the upstream itself, with Realms' own key; return its id."""
    path = "/v1/responses" if kind is ObjectKind.RESPONSE else "/v1/chat/completions"
    if kind is ObjectKind.CONVERSATION:
        path = "/v1/conversations"
    body = {"model": "sim-1", "input": "x", "messages": [], "store": True} | more
    answer = ask(house.provider.port, "POST", path, body=body, headers={"authorization": "Bearer sim-main"})
    return answer.json()["id"]


def owned_rows(house):
    return house.rows("SELECT count(*) AS n FROM owned_objects")[0]["n"]


@pytest.mark.acceptance("B-16")
def test_every_rule_with_an_id_is_a_row_of_the_table(house):
    rules = {rule.rule for rule in house.app.url_map.iter_rules() if rule.rule.startswith("/v1") and rule.arguments}
    assert rules == {endpoint.path for endpoint in TAKES_ID} | NO_OBJECT


@pytest.mark.acceptance("B-18")
@every_endpoint
@pytest.mark.parametrize("who", ["alice", "alice2"])
def test_the_owner_reaches_an_object_with_every_token_by_the_key_that_made_it(house, kept, reached, endpoint, who):
    object_id, item = kept.ids[endpoint.object], kept.item
    if endpoint.method == "DELETE":
        object_id, item = make_with_item(house) if endpoint.object is ObjectKind.CONVERSATION else (None, "")
        object_id = object_id or make(house, endpoint.object)
        reached()
    answer = call(house, endpoint, object_id, item_id=item, who=who)
    seen = reached()
    assert [(r["method"], r["path"], r["key"]) for r in seen] == [
        (endpoint.method, path_of(endpoint, object_id, item), "sim-main")
    ]
    assert answer.status == seen[0]["status"] == (400 if endpoint.name == "responses.cancel" else 200)


@pytest.mark.acceptance("B-1", "B-2", "B-17")
@every_endpoint
@pytest.mark.parametrize("case", ["another user's", "made at the upstream", "of another kind", "a twin in case"])
def test_what_is_not_the_callers_is_answered_as_what_does_not_exist(house, kept, reached, endpoint, case):
    who, object_id = "alice", kept.ids[endpoint.object]
    if case == "another user's":
        who = "bob"
    elif case == "made at the upstream":
        object_id = directly(house, endpoint.object)
    elif case == "of another kind":
        object_id = kept.ids[next(kind for kind in KINDS if kind is not endpoint.object)]
    else:
        object_id = object_id.swapcase()
    unknown = UNKNOWN[endpoint.object]
    rows = owned_rows(house)
    reached()
    refused = call(house, endpoint, object_id, item_id=kept.item, who=who)
    missing = call(house, endpoint, unknown, item_id=kept.item, who=who)
    assert told(refused, object_id) == told(missing, unknown)
    assert refused.status == 404
    assert refused.json()["error"]["param"] == "id"
    assert reached() == []
    assert owned_rows(house) == rows


@pytest.mark.acceptance("B-1")
@pytest.mark.parametrize("endpoint", [e for e in TAKES_ID if "<item_id>" in e.path], ids=lambda e: e.name)
def test_an_item_that_is_not_the_callers_is_not_found_in_an_own_conversation(house, kept, reached, endpoint):
    own, unknown = kept.ids[ObjectKind.CONVERSATION], UNKNOWN[ObjectKind.ITEM]
    missing = call(house, endpoint, own, item_id=unknown)
    assert missing.status == 404
    for item in (kept.bobs[1], kept.bobs[0]):
        assert told(call(house, endpoint, own, item_id=item), item) == told(missing, unknown)
    for item in ("..", "%2e%2e", "%2e%2e%2f..", "x%00"):
        assert call(house, endpoint, own, item_id=item).status == 404
    assert reached() == []


@pytest.mark.acceptance("B-15")
@pytest.mark.parametrize(
    ("endpoint", "shape"),
    # An empty id at the end of a path makes the path of the list, with a slash too many: see test_bad_input.
    [(e, s) for e in TAKES_ID for s in MALFORMED if s != "empty" or not e.path.endswith("<object_id>")],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_id_that_can_be_none_never_reaches_the_provider(house, reached, endpoint, shape):
    answer = call(house, endpoint, MALFORMED[shape], item_id=UNKNOWN[ObjectKind.ITEM])
    assert answer.status == (414 if shape == "10 KB" else 404)
    assert "x-evil" not in answer.headers
    assert reached() == []


@pytest.mark.acceptance("B-12")
@pytest.mark.parametrize("endpoint", [e for e in TAKES_ID if e.deletes], ids=lambda endpoint: endpoint.name)
def test_a_deleted_object_is_gone_for_its_owner_without_asking_upstream(house, reached, endpoint):
    object_id, unknown = make(house, endpoint.object), UNKNOWN[endpoint.object]
    assert call(house, endpoint, object_id).status == 200
    reached()
    for later in (e for e in TAKES_ID if e.object is endpoint.object):
        refused = call(house, later, object_id, item_id="msg_x")
        assert told(refused, object_id) == told(call(house, later, unknown, item_id="msg_x"), unknown)
    assert reached() == []
    row = house.rows(f"SELECT user_id, deleted_at FROM owned_objects WHERE object_id = '{object_id}'")[0]
    assert row["user_id"] == house.users["alice"]
    assert row["deleted_at"]


@pytest.mark.acceptance("B-12")
@pytest.mark.parametrize("endpoint", [e for e in TAKES_ID if e.deletes], ids=lambda endpoint: endpoint.name)
def test_an_object_that_its_upstream_lost_is_gone_after_a_delete(house, reached, endpoint):
    object_id = make(house, endpoint.object)
    at_upstream = path_of(endpoint, object_id)
    headers = {"authorization": "Bearer sim-main"}
    assert ask(house.provider.port, "DELETE", at_upstream, headers=headers).status == 200
    assert call(house, endpoint, object_id).status == 404
    reached()
    assert call(house, endpoint, object_id).status == 404
    assert reached() == []


@pytest.mark.acceptance("B-5")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("kind", "path"), STORED)
def test_what_is_not_stored_leaves_no_row(house, reached, kind, path, stream):
    rows = owned_rows(house)
    body = {"model": "sim-1", "input": "x", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    if kind is ObjectKind.RESPONSE:
        body["store"] = False
    answer = house.post(path, body)
    object_id = re.search(rb'"id":"((?:resp_|chatcmpl-)[^"]+)"', answer.body)[1].decode()
    assert owned_rows(house) == rows
    reached()
    assert call(house, BY_NAME[f"{'chat' if 'chat' in path else 'responses'}.retrieve"], object_id).status == 404
    assert reached() == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.kind is Kind.CREATE and e.object], ids=lambda e: e.name)
def test_a_create_that_shows_an_id_registers_it(house, endpoint, stream):
    body = {"model": "sim-1", "input": "x", "messages": [{"role": "user", "content": "x"}], "store": True}
    if endpoint.object is ObjectKind.CONVERSATION:
        body = {}
    elif stream:
        body["stream"] = True
    answer = house.post(endpoint.path, body)
    object_id = re.search(rb'"id":"((?:resp_|chatcmpl-|conv_)[^"]+)"', answer.body)[1].decode()
    row = house.rows(f"SELECT * FROM owned_objects WHERE object_id = '{object_id}'")[0]
    assert (row["user_id"], row["kind"]) == (house.users["alice"], endpoint.object.value)
    assert row["upstream_id"] == house.upstreams["main"]


@pytest.mark.acceptance("B-10")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("kind", "path"), STORED)
def test_an_id_minted_twice_stays_its_first_owners(house, reached, kind, path, stream):
    twice = f"{kind.value}-twice-{stream}"
    model = f"sim-1+fault=same_id:{twice}"
    assert make(house, kind, model=model) == twice
    messages = [{"role": "user", "content": "x"}]
    body = {"model": model, "input": "x", "messages": messages, "store": True, "stream": stream}
    second = house.post(path, body, who="bob", x_request_id=f"twice-{kind.value}-{stream}")
    assert second.status == 200
    assert twice.encode() in second.body
    reached()
    endpoint = BY_NAME["responses.retrieve" if kind is ObjectKind.RESPONSE else "chat.retrieve"]
    unknown = UNKNOWN[kind]
    assert told(call(house, endpoint, twice, who="bob"), twice) == told(
        call(house, endpoint, unknown, who="bob"), unknown
    )
    assert reached() == []
    assert call(house, endpoint, twice).status == 200
    rows = house.rows(f"SELECT user_id FROM owned_objects WHERE object_id = '{twice}'")
    assert rows == [{"user_id": house.users["alice"]}]
    log = [line for line in house.log.read_text().splitlines() if "ownership_conflict" in line]
    assert any(twice in line for line in log)
