"""Explanations in words, from the database and from what this worker knows."""

import pytest

from app.extensions import db
from app.models import Attempt, Record
from app.models.base import utcnow
from app.services import catalog, explanations, tokens, upstreams
from app.services.context import context
from app.services.explanations import ExplainError


@pytest.fixture
def main(ctx):
    made = upstreams.create(name="main", kind="openai", base_url="", key="sk-1", priority=0, weight=1, actor=None)
    catalog.import_models(made.id, {"gpt": "theirs"}, actor=None)
    context().directory.refresh()
    return upstreams.get(made.id)


def test_a_call_is_explained_with_names(main):
    (row,) = explanations.hypothetical(model="gpt")
    assert (row.order, row.upstream, row.credential, row.model) == (1, "main", "default", "theirs")


def test_a_tokens_call_is_explained_as_that_token_may(main, alice):
    token = tokens.mint(alice, name="t", actor=alice).token
    assert explanations.hypothetical(model="gpt", token_id=token.id)[0].order == 1


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"model": "nothing"}, "model"),
        ({"model": "gpt", "token_id": 99}, "token"),
        ({"model": "gpt", "endpoint": "nothing"}, "endpoint"),
        ({"model": "gpt", "endpoint": "responses.retrieve"}, "endpoint"),
    ],
)
def test_what_is_not_there_is_said_to_be_missing(main, asked, field):
    with pytest.raises(ExplainError) as refused:
        explanations.hypothetical(**asked)
    assert refused.value.field == field


def test_a_request_is_explained_by_its_attempts_and_what_was_left_out(main):
    fields = {"user_id": 1, "token_id": 1, "endpoint": "chat.create", "protocol": "openai", "end": "completed"}
    credential = main.credentials[0].id
    left = [["u:1", "status_500"], [f"c:{credential}", "quota"], ["r:9:gpt:4", "model_not_found"]]
    left.append([f"s:{credential}", "unreadable"])
    record = Record(id="0" * 32, at=utcnow(), request_id="req-1", status=200, total_ms=5, left_out=left, **fields)
    db.session.add_all(
        [record, Attempt(record_id="0" * 32, n=0, upstream_id=1, credential_id=99, total_ms=3, error="x")]
    )
    db.session.commit()
    story = explanations.of_request("req-1")
    assert story.record["end"] == "completed"
    assert [(each["upstream"], each["credential"], each["error"]) for each in story.attempts] == [
        ("main", "credential 99", "x")
    ]
    assert [each["what"] for each in story.left_out] == [
        "main",
        "main / default",
        "upstream 9 / gpt:4",
        "encrypted items of the request, at main / default",
    ]
    with pytest.raises(ExplainError):
        explanations.of_request("nobody's")
