"""`/v1/models` in both shapes: what a token can reach by the protocol that asks, and nothing else."""

import re

import anthropic
import openai
import pytest

from app.extensions import db
from app.services import accounts, catalog, tokens, upstreams

NAMES = ["plain", "org/name", "org/name:tag", "a:b", "UPPER.case_1", "long-" + "x" * 90]
VERSION = {"anthropic_version": "2023-06-01"}


@pytest.fixture(scope="module")
def shelf(house):
    """Two upstreams of a test's own, one of each protocol, with the same names but one."""

    def create(name, kind, url, key):
        made = upstreams.create(name=name, kind=kind, base_url=url, key=key, priority=0, weight=1, actor=None)
        catalog.import_models(made.id, {f"shelf/{model}": "sim-1" for model in NAMES}, actor=None)
        return made.id

    base = house.provider.url
    ids = house.changed(
        lambda: (
            create("shelf", "openai", f"{base}/v1", "sim-shelf"),
            create("shelf-claude", "anthropic", base, "sim-shelf"),
        )
    )
    yield ids
    house.changed(lambda: [upstreams.delete(upstream_id, actor=None) for upstream_id in ids])


def listed(house, query="", who="alice", **headers):
    answer = house.ask("GET", f"/v1/models{query}", who=who, **headers)
    assert answer.status == 200
    return answer.json()


def names(page):
    return [entry["id"] for entry in page["data"]]


def shelf_names(page):
    return [name for name in names(page) if name.startswith("shelf/")]


def test_the_openai_shape(house, shelf):
    page = listed(house)
    assert page["object"] == "list"
    assert names(page) == sorted(names(page))
    assert shelf_names(page) == sorted(f"shelf/{name}" for name in NAMES)
    for entry in page["data"]:
        assert set(entry) == {"id", "object", "created", "owned_by"}
        assert entry["object"] == "model"
        assert entry["created"] > 1_700_000_000
        assert entry["owned_by"]


def test_the_anthropic_shape(house, shelf):
    page = listed(house, **VERSION)
    assert set(page) == {"data", "has_more", "first_id", "last_id"}
    assert (page["first_id"], page["last_id"]) == (names(page)[0], names(page)[-1])
    assert "renamed" not in names(page)
    for entry in page["data"]:
        assert set(entry) == {"type", "id", "display_name", "created_at"}
        assert entry["type"] == "model"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["created_at"])


@pytest.mark.parametrize("name", NAMES)
def test_one_model_by_a_name_that_may_hold_slashes_and_colons(house, shelf, name):
    entry = house.ask("GET", f"/v1/models/shelf/{name}").json()
    assert entry in listed(house)["data"]
    entry = house.ask("GET", f"/v1/models/shelf/{name}", **VERSION).json()
    assert entry in listed(house, "?limit=1000", **VERSION)["data"]
    body = {"model": f"shelf/{name}", "input": "x", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    assert house.post("/v1/responses", body).json()["model"] == f"shelf/{name}"
    assert house.post("/v1/messages", body).json()["model"] == f"shelf/{name}"


@pytest.mark.parametrize("name", ["shelf%2fplain", "sim-anything", "sim-1+fault=x"])
def test_a_model_that_a_pattern_or_an_escaped_name_serves_is_there(house, shelf, name):
    assert house.ask("GET", f"/v1/models/{name}").status == 200


@pytest.mark.parametrize(
    "name", ["nothing", "shelf", "shelf/", "SHELF/plain", "shelf/plai", "sim", "%00", "claude-1", "x" * 5000]
)
def test_a_model_that_is_not_there_is_not_found(house, shelf, name):
    answer = house.ask("GET", f"/v1/models/{name}")
    assert (answer.status, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_a_model_of_the_other_protocol_is_not_found(house):
    assert house.ask("GET", "/v1/models/claude-1").status == 404
    assert house.ask("GET", "/v1/models/claude-1", **VERSION).status == 200
    answer = house.ask("GET", "/v1/models/renamed", **VERSION)
    assert (answer.status, answer.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("limit", [1, 2, 4, 6, 1000])
def test_anthropics_pages_walk_forwards_and_backwards(house, shelf, limit):
    everything = names(listed(house, "?limit=1000", **VERSION))
    seen, query = [], ""
    while True:
        page = listed(house, f"?limit={limit}{query}", **VERSION)
        seen += names(page)
        if not page["has_more"]:
            break
        query = f"&after_id={page['last_id']}"
    assert seen == everything
    back = listed(house, f"?limit={limit}&before_id={everything[-1]}", **VERSION)
    assert names(back) == everything[:-1][-limit:]
    assert back["has_more"] == (limit < len(everything) - 1)


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "9" * 100, "0000010000000", "000000001" + "0" * 5000])
def test_a_limit_that_makes_no_sense_is_refused(house, limit):
    answer = house.ask("GET", f"/v1/models?limit={limit}", **VERSION)
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_the_official_clients_read_the_list(house, shelf, openai_of, anthropic_of):
    mine = [model.id for model in openai_of().models.list()]
    assert mine == names(listed(house))
    assert openai_of().models.retrieve("shelf/org/name:tag").id == "shelf/org/name:tag"
    assert [model.id for model in anthropic_of().models.list(limit=2)] == names(listed(house, "?limit=1000", **VERSION))
    assert anthropic_of().models.retrieve("shelf/plain").created_at.year >= 2024
    with pytest.raises(openai.NotFoundError):
        openai_of().models.retrieve("nothing")
    with pytest.raises(anthropic.NotFoundError):
        anthropic_of().models.retrieve("nothing")


@pytest.mark.acceptance("D-5")
@pytest.mark.parametrize(
    ("allowed", "seen"),
    [
        (["shelf/plain"], ["shelf/plain"]),
        (["shelf/org/*", "renamed"], ["renamed", "shelf/org/name", "shelf/org/name:tag"]),
        (["sim-*"], []),
        (["*"], ...),
    ],
)
def test_a_tokens_list_of_models_holds_everywhere(house, shelf, reached, allowed, seen):
    with house.app.app_context():
        user = accounts.by_email("carol@example.com")
        token = tokens.mint(user, name="narrow", models=allowed, actor=user).secret
        db.session.remove()
    bearer = {"authorization": f"Bearer {token}"}
    assert names(listed(house, **bearer)) == (names(listed(house)) if seen is ... else seen)
    may = {"shelf/plain": "shelf/plain" in allowed or seen is ..., "sim-1": "sim-*" in allowed or seen is ...}
    for model, allowed_ in may.items():
        assert house.ask("GET", f"/v1/models/{model}", **bearer).status == (200 if allowed_ else 404)
        body = {"model": model, "input": "x", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        for path in ("responses", "chat/completions", "responses/compact", "responses/input_tokens"):
            reached()
            answer = house.post(f"/v1/{path}", body, **bearer)
            assert answer.status == (200 if allowed_ else 404)
            assert bool(reached()) == allowed_
    refused = house.post("/v1/responses", {"model": "other-1", "input": "x"}, **bearer)
    unknown = house.post("/v1/responses", {"model": "nothing", "input": "x"}, **bearer)
    if seen is not ...:
        assert refused.body.replace(b"other-1", b"nothing") == unknown.body


def test_models_of_a_disabled_upstream_a_disabled_model_or_an_unusable_credential_vanish(house, shelf):
    upstream_id = shelf[0]
    (credential,) = house.rows(f"SELECT id FROM credentials WHERE upstream_id = {upstream_id}")
    (model,) = house.rows("SELECT id FROM models WHERE name = 'shelf/plain'")

    def upstream(enabled):
        return lambda: upstreams.set_enabled(upstream_id, enabled=enabled, actor=None)

    def key(enabled):
        return lambda: upstreams.set_credential_enabled(credential["id"], enabled=enabled, actor=None)

    def entry(enabled):
        return lambda: catalog.set_model_enabled(model["id"], enabled=enabled, actor=None)

    for switch, left in ((upstream, 0), (key, 0), (entry, len(NAMES) - 1)):
        house.changed(switch(False))
        assert len(shelf_names(listed(house))) == left
        assert house.ask("GET", "/v1/models/shelf/plain").status == 404
        assert house.post("/v1/responses", {"model": "shelf/plain", "input": "x"}).status == 404
        house.changed(switch(True))
        assert len(shelf_names(listed(house))) == len(NAMES)
