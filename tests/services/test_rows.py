"""Many rows with few statements, on every database: what goes in is what comes out."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import Attempt, Token, User
from app.services.rows import insert_rows

BEGAN = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def attempt(n):
    return {
        "record_id": f"{n:032}",
        "n": 0,
        "upstream_id": n,
        "credential_id": 1,
        "status": None,
        "error": "",
        "total_ms": n,
        "upstream_request_id": "",
    }


@pytest.mark.any_database
@pytest.mark.parametrize("count", [0, 1, 3, 4, 63, 64, 65, 150])
def test_every_row_arrives_once(ctx, count):
    with db.engine.begin() as connection:
        insert_rows(connection, Attempt.__table__, [attempt(n) for n in range(count)])
        found = connection.scalars(select(Attempt.upstream_id).order_by(Attempt.upstream_id)).all()
    assert list(found) == list(range(count))


@pytest.mark.any_database
def test_values_come_back_as_they_were(ctx, alice):
    rows = [
        {
            "user_id": alice.id,
            "name": f"it's % a ? token {n}",
            "digest": f"{n:064}",
            "last4": "abcd",
            "models": ["gpt-*", "n%s"] if n % 2 else None,
            "created_at": BEGAN + timedelta(hours=n),
        }
        for n in range(7)
    ]
    with db.engine.begin() as connection:
        insert_rows(connection, Token.__table__, rows)
    kept = db.session.scalars(select(Token).order_by(Token.digest)).all()
    assert [{name: getattr(token, name) for name in rows[0]} for token in kept] == rows


@pytest.mark.any_database
def test_one_that_is_there_already_refuses_them_all(ctx):
    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        insert_rows(connection, Attempt.__table__, [*(attempt(n) for n in range(70)), attempt(3)])
    assert db.session.scalar(select(func.count()).select_from(Attempt)) == 0
    assert db.session.scalar(select(func.count()).select_from(User)) == 0
