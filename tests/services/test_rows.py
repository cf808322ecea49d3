"""Many rows with few statements, on every database: what goes in is what comes out."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import Attempt, Token, User
from app.services.rows import insert_rows

BEGAN = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


COLUMNS = (
    "record_id", "n", "upstream_id", "credential_id", "status", "error", "total_ms", "upstream_request_id",
)  # fmt: skip


def attempt(n):
    return f"{n:032}", 0, n, 1, None, "", n, ""


@pytest.mark.any_database
@pytest.mark.parametrize("count", [0, 1, 3, 4, 63, 64, 65, 150])
def test_every_row_arrives_once(ctx, count):
    with db.engine.begin() as connection:
        insert_rows(connection, Attempt.__table__, COLUMNS, [attempt(n) for n in range(count)])
        found = connection.scalars(select(Attempt.upstream_id).order_by(Attempt.upstream_id)).all()
    assert list(found) == list(range(count))


@pytest.mark.any_database
def test_values_come_back_as_they_were(ctx, alice):
    columns = ("user_id", "name", "digest", "last4", "models", "created_at")
    rows = [
        (
            alice.id,
            f"it's % a ? token {n}",
            f"{n:064}",
            "abcd",
            ["gpt-*", "n%s"] if n % 2 else None,
            BEGAN + timedelta(hours=n),
        )
        for n in range(7)
    ]
    with db.engine.begin() as connection:
        insert_rows(connection, Token.__table__, columns, rows)
    kept = db.session.scalars(select(Token).order_by(Token.digest)).all()
    assert [tuple(getattr(token, name) for name in columns) for token in kept] == rows


@pytest.mark.any_database
def test_one_that_is_there_already_refuses_them_all(ctx):
    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        insert_rows(connection, Attempt.__table__, COLUMNS, [*(attempt(n) for n in range(70)), attempt(3)])
    assert db.session.scalar(select(func.count()).select_from(Attempt)) == 0
    assert db.session.scalar(select(func.count()).select_from(User)) == 0
