"""A change of configuration is one transaction with its audit row and one new generation, or nothing at all."""

import pytest
from sqlalchemy import func, select

from app.extensions import db
from app.models import AuditEntry, Meta, User
from app.models.meta import GENERATION
from app.services.changes import change

pytestmark = pytest.mark.any_database


def generation():
    return db.session.scalar(select(Meta.value).where(Meta.name == GENERATION))


def entries():
    return db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()


@pytest.mark.acceptance("D-7")
def test_a_change_writes_its_audit_row_and_raises_the_generation_once(alice):
    before, known = generation(), len(entries())
    with change("user.rename", "user alice", actor=alice) as told:
        told.before = {"name": alice.name}
        alice.name = "Alicia"
        told.after = {"name": "Alicia"}
    (entry,) = entries()[known:]
    assert (entry.actor_id, entry.action, entry.target) == (alice.id, "user.rename", "user alice")
    assert (entry.before, entry.after) == ({"name": "Alice"}, {"name": "Alicia"})
    assert generation() == before + 1


@pytest.mark.acceptance("D-7")
def test_the_audit_says_from_where_without_an_address(app, alice):
    for address in ("192.0.2.7", "192.0.2.7", "192.0.2.8"):
        with app.test_request_context(environ_base={"REMOTE_ADDR": address}), change("x.y", "x", actor=alice):
            pass
    one, same, other = entries()[-3:]
    assert one.peer == same.peer != other.peer
    assert len(one.peer) == 12
    assert "192" not in one.peer + other.peer
    with change("x.y", "x", actor=None):
        pass
    assert entries()[-1].peer == ""


def test_a_change_that_fails_leaves_nothing(alice):
    before, known, name = generation(), len(entries()), alice.name
    with pytest.raises(ZeroDivisionError), change("user.rename", "user alice", actor=alice):
        alice.name = "Nobody"
        db.session.flush()
        raise ZeroDivisionError
    db.session.expire_all()
    assert (generation(), len(entries()), alice.name) == (before, known, name)


def test_the_target_can_be_learnt_inside_and_a_long_one_is_cut(ctx):
    with change("x.y", "?", actor=None) as told:
        told.target = "t" * 500
    assert entries()[-1].target == "t" * 200
    assert entries()[-1].actor_id is None


def test_the_workers_own_snapshot_is_new_before_the_change_returns(app, ctx):
    directory = app.extensions["realms"].directory
    with change("x.y", "x", actor=None):
        pass
    assert directory.snapshot.generation == generation()


def test_a_change_is_there_for_others_once_it_returns(app, ctx, alice):
    with change("user.rename", "x", actor=None):
        alice.name = "Alicia"
    with db.engine.connect() as other:
        assert other.scalar(select(User.name).where(User.id == alice.id)) == "Alicia"
        assert other.scalar(select(func.count()).select_from(AuditEntry)) == len(entries())
