import os
from datetime import timedelta

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from app.extensions import Base, db
from app.models import Cut, OwnedObject, Record, Token, User
from app.models.base import utcnow
from app.services import moving, tokens, upstreams
from app.services.fields import FieldError
from tests import databases


@pytest.fixture(params=[databases.postgresql_database, databases.mysql_database], ids=["postgresql", "mysql"])
def empty_url(request, worker_name):
    with request.param(f"realms_moving_{worker_name}_{os.getpid()}") as url:
        yield url


@pytest.fixture
def url(ctx, empty_url):
    databases.migrate(empty_url)
    return empty_url


@pytest.fixture
def full(alice, bob):
    """Some of everything, with ids that differ by case and by a space, and more rows than one portion holds."""
    upstreams.create(name="main", kind="openai", base_url="", key="sk-x", priority=0, weight=1, actor=alice)
    tokens.mint(bob, name="\u5bc6\u94a5 \U0001f511", models=["sim-*"], actor=bob)
    for object_id in ("resp_1", "Resp_1", "resp_1 "):
        db.session.add(
            OwnedObject(upstream_id=1, credential_id=1, kind="response", object_id=object_id, user_id=bob.id)
        )
    told = {"user_id": 1, "token_id": 1, "endpoint": "e", "protocol": "openai", "status": 200, "end": "completed"}
    db.session.add_all(
        Record(id=f"{n:032}", at=utcnow() - timedelta(microseconds=n), request_id="r", total_ms=1, **told)
        for n in range(moving.PORTION + 7)
    )
    db.session.commit()


def everything(engine):
    with engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in Base.metadata.sorted_tables
        }


def test_everything_arrives_as_it_was_and_numbers_go_on(full, url):
    before = everything(db.engine)
    moved = moving.move(url)
    assert moved == {name: len(rows) for name, rows in before.items()}
    target = create_engine(url)
    assert everything(target) == before
    with Session(target) as session:
        highest = session.scalar(select(func.max(User.id)))
        session.add(User(email="later@example.com", password_hash=""))
        session.add(Cut())
        session.commit()
        assert session.scalar(select(User.id).where(User.email == "later@example.com")) > highest
    target.dispose()


@pytest.mark.acceptance("D-6")
def test_a_database_that_is_in_use_is_left_alone(full, url):
    moving.move(url)
    with pytest.raises(FieldError, match="in use"):
        moving.move(url)


def test_a_database_that_nobody_migrated_is_left_alone(full, empty_url):
    with pytest.raises(FieldError, match="flask db upgrade"):
        moving.move(empty_url)


def test_where_one_row_is_refused_nothing_is_moved(full, url):
    db.session.add(Token(user_id=1, name="x" * 5000, digest="d", last4="1234"))  # SQLite takes any length
    db.session.commit()
    with pytest.raises(FieldError, match="refuses"):
        moving.move(url)
    target = create_engine(url)
    assert everything(target)["users"] == []
    target.dispose()


@pytest.mark.parametrize("wrong", ["", "nonsense", "oracle://x/y", "postgresql://nobody@127.0.0.1:1/none"])
def test_what_is_no_database_is_told(ctx, wrong):
    with pytest.raises(FieldError):
        moving.move(wrong)
