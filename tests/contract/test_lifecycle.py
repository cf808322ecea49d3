"""What owned objects become when their upstream, credential, token or owner changes beside the running server."""

import time

import pytest

from app.extensions import db
from app.models import Credential
from app.protocol.endpoints import BY_NAME, ObjectKind
from app.services import accounts, catalog, tokens, upstreams
from tests.contract.objects import TAKES_ID, UNKNOWN, call, make, told
from tests.live import PASSWORD

KINDS = [kind for kind in ObjectKind if kind is not ObjectKind.ITEM]


@pytest.fixture
def passing(house):
    """An upstream of its own, the first choice for conversations, and objects of every kind that live there."""

    def create():
        made = upstreams.create(
            name="passing",
            kind="openai",
            base_url=f"{house.provider.url}/v1",
            key="sim-passing",
            priority=1000,
            weight=1,
            actor=None,
        )
        catalog.import_models(made.id, {"passing-*": None}, actor=None)
        return made.id

    upstream_id = house.changed(create)
    yield upstream_id, {kind: make(house, kind, model="passing-1") for kind in KINDS}
    if house.rows(f"SELECT id FROM upstreams WHERE id = {upstream_id}"):
        house.changed(lambda: upstreams.delete(upstream_id, actor=None))


@pytest.fixture
def dave(house):
    """A user of a test's own; returns their id, with a token under their name."""

    def create():
        user = accounts.create_user(
            email=f"dave{time.time_ns()}@example.com", password=PASSWORD, role="user", actor=None
        )
        house.tokens["dave"] = tokens.mint(user, name="only", actor=user).secret
        return user.id

    with house.app.app_context():
        user_id = create()
        db.session.remove()
    yield user_id
    house.changed(lambda: accounts.set_disabled(user_id, disabled=True, actor=None))
    del house.tokens["dave"]


def all_calls(house, ids):
    return {e.name: call(house, e, ids[e.object], item_id="msg_x") for e in TAKES_ID if "<item_id>" not in e.path}


@pytest.mark.acceptance("B-14")
def test_objects_of_a_disabled_upstream_are_away_and_those_of_a_deleted_one_are_gone(house, passing, reached):
    upstream_id, ids = passing
    house.changed(lambda: upstreams.set_enabled(upstream_id, enabled=False, actor=None))
    reached()
    for name, answer in all_calls(house, ids).items():
        assert (name, answer.status, answer.json()["error"]["code"]) == (name, 503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
    assert call(house, BY_NAME["responses.retrieve"], ids[ObjectKind.RESPONSE], who="bob").status == 404
    house.changed(lambda: upstreams.delete(upstream_id, actor=None))
    unknown = all_calls(house, UNKNOWN)
    for name, answer in all_calls(house, ids).items():
        kind = BY_NAME[name].object
        assert told(answer, ids[kind]) == told(unknown[name], UNKNOWN[kind])
    assert reached() == []


@pytest.mark.acceptance("B-14")
def test_objects_keep_to_the_credential_that_made_them(house, passing, reached):
    upstream_id, ids = passing
    first = house.rows(f"SELECT id FROM credentials WHERE upstream_id = {upstream_id}")[0]["id"]
    another = house.changed(
        lambda: upstreams.add_credential(upstream_id, name="another", key="sim-another", actor=None).id
    )
    reached()
    assert {answer.status for answer in all_calls(house, ids).values()} <= {200, 400, 404}
    assert {seen["key"] for seen in reached()} == {"sim-passing"}
    house.changed(lambda: upstreams.set_credential_enabled(another, enabled=False, actor=None))
    ids = {kind: make(house, kind, model="passing-1") for kind in KINDS}
    house.changed(lambda: upstreams.set_credential_enabled(first, enabled=False, actor=None))
    reached()
    assert {answer.status for answer in all_calls(house, ids).values()} == {503}
    house.changed(lambda: upstreams.delete_credential(first, actor=None))
    assert {answer.status for answer in all_calls(house, ids).values()} == {404}
    assert reached() == []


@pytest.mark.acceptance("E-5")
def test_a_credential_moved_to_another_address_past_realms_is_never_sent_there(house, passing, reached):
    upstream_id, ids = passing

    def move():
        db.session.execute(
            db.text("UPDATE upstreams SET base_url = :url WHERE id = :id"),
            {"url": f"http://localhost:{house.provider.port}/v1", "id": upstream_id},
        )
        db.session.execute(db.text("UPDATE meta SET value = value + 1 WHERE name = 'generation'"))
        db.session.commit()

    house.changed(move)
    reached()
    assert {answer.status for answer in all_calls(house, ids).values()} == {503}
    assert house.post("/v1/responses", {"model": "passing-1", "input": "x"}).status == 404
    assert reached() == []
    with house.app.app_context():
        assert db.session.query(Credential).filter_by(upstream_id=upstream_id).count() == 1
        db.session.remove()


@pytest.mark.acceptance("A-7")
def test_a_revoked_token_is_refused_within_a_second_and_the_objects_stay_the_users(house, dave, reached):
    object_id = make(house, ObjectKind.RESPONSE, who="dave")
    old = house.tokens["dave"]

    def swap():
        user = accounts.get_user(dave)
        (token,) = tokens.list_for(user)
        house.tokens["dave"] = tokens.mint(user, name="new", actor=user).secret
        tokens.revoke(token.id, actor=user, owner=user)

    house.changed(swap)
    refused = house.ask("GET", f"/v1/responses/{object_id}", authorization=f"Bearer {old}")
    assert refused.status == 401
    assert house.ask("GET", f"/v1/responses/{object_id}", who="dave").status == 200


@pytest.mark.acceptance("A-7")
def test_a_disabled_users_tokens_are_refused_on_every_endpoint_and_come_back_with_the_user(house, dave, reached):
    object_id = make(house, ObjectKind.RESPONSE, who="dave")
    house.changed(lambda: accounts.set_disabled(dave, disabled=True, actor=None))
    reached()
    bodies = {told(call(house, e, object_id, item_id="msg_x", who="dave"))[2] for e in TAKES_ID}
    assert len(bodies) == 1
    assert house.post("/v1/responses", {"model": "sim-1", "input": "x"}, who="dave").status == 401
    assert reached() == []
    house.changed(lambda: accounts.set_disabled(dave, disabled=False, actor=None))
    assert call(house, BY_NAME["responses.retrieve"], object_id, who="dave").status == 200


def test_a_new_token_works_at_once_in_the_running_server(house, dave):
    assert house.ask("GET", "/v1/models", who="dave").status == 200


@pytest.mark.acceptance("B-18")
def test_a_token_reaches_no_object_of_a_model_that_it_may_not_use(house, dave, reached):
    object_id = make(house, ObjectKind.RESPONSE, who="dave")

    def mint():
        user = accounts.get_user(dave)
        return tokens.mint(user, name="narrow", models=["other-*"], actor=user).secret

    house.tokens["narrow"] = house.changed(mint)
    reached()
    refused = call(house, BY_NAME["responses.retrieve"], object_id, who="narrow")
    unknown = UNKNOWN[ObjectKind.RESPONSE]
    assert told(refused, object_id) == told(call(house, BY_NAME["responses.retrieve"], unknown, who="narrow"), unknown)
    assert reached() == []
    assert (
        call(
            house, BY_NAME["conversations.retrieve"], make(house, ObjectKind.CONVERSATION, who="narrow"), who="narrow"
        ).status
        == 200
    )
    del house.tokens["narrow"]
