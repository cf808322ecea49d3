"""What is told of conversations."""

import pytest

from app.extensions import db
from app.services import posting, talks
from tests.services.writing import record

pytestmark = pytest.mark.any_database
NOW = 1_800_000_000.0


def keep(*notes):
    with db.engine.begin() as connection:
        posting.post(connection, list(notes), again=False)


def test_conversations_are_told_the_last_heard_of_first(ctx):
    keep(
        record(1, at=NOW, cost=1, conversation="a" * 32),
        record(2, at=NOW - 3600, cost=10, conversation="a" * 32),
        record(3, at=NOW - 7200, cost=None, conversation="b" * 32),
        record(4, at=NOW, cost=1000, user_id=2, conversation="c" * 32),
    )
    told = talks.latest(1)
    assert [(talk.key[0], talk.totals.requests, talk.totals.cost_nanos) for talk in told] == [("a", 2, 11), ("b", 1, 0)]
    assert [talk.key[0] for talk in talks.latest(1, before=(told[0].last_at, told[0].key))] == ["b"]
    assert talks.find(1, ["x" * 32, "b" * 32]).key == "b" * 32
    assert talks.find(2, ["b" * 32]) is None


def test_conversations_of_the_same_moment_are_all_told_page_after_page(ctx):
    keep(*(record(n, at=NOW, conversation=f"{n:032x}") for n in range(5)))
    told, before = [], None
    for _ in range(3):
        page = talks.latest(1, before=before, limit=2)
        told += [talk.key for talk in page]
        before = page[-1].last_at, page[-1].key
    assert told == [f"{n:032x}" for n in (4, 3, 2, 1, 0)]
