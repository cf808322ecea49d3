from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.extensions import db
from app.models import AuditEntry, Cut, HalfSignIn, Link, OwnedObject, Record, RunningCalls, SignIn
from app.models.base import utcnow
from app.services import chores, sign_ins
from app.services.context import context

pytestmark = pytest.mark.any_database
TABLES = {
    "records": Record,
    "audit": AuditEntry,
    "deleted_objects": OwnedObject,
    "sign_ins": SignIn,
    "half_sign_ins": HalfSignIn,
    "links": Link,
    "cuts": Cut,
    "running_calls": RunningCalls,
}


def counts():
    return {name: db.session.scalar(select(func.count()).select_from(table)) for name, table in TABLES.items()}


@pytest.fixture
def old_and_new(alice):
    """Of everything one row that has had its time, and one that hasn't; of objects one more that is not deleted."""
    now = utcnow()
    for age in (timedelta(days=800), timedelta(0)):
        at = now - age
        n = age.days
        db.session.add_all([
            Record(
                id=f"call-{n}", at=at, request_id="", user_id=1, token_id=1, endpoint="", protocol="", status=200,
                end="completed", total_ms=1,
            ),
            AuditEntry(at=at, action="test", target=str(n)),
            OwnedObject(
                upstream_id=1, credential_id=1, kind="response", object_id=f"gone-{n}", user_id=alice.id, deleted_at=at
            ),
            SignIn(digest=f"digest-{n}", user_id=alice.id, seen_at=at, created_at=at),
            HalfSignIn(digest=f"half-{n}", user_id=alice.id, created_at=at),
            Link(digest=f"link-{n}", purpose="invite", expires_at=at + timedelta(hours=1)),
            Cut(at=at),
            RunningCalls(worker=str(n), at=at, calls=b"[]"),
        ])  # fmt: skip
    lasting = {"upstream_id": 1, "credential_id": 1, "kind": "response", "object_id": "lasting", "user_id": alice.id}
    db.session.add(OwnedObject(**lasting, created_at=now - timedelta(days=800)))
    db.session.commit()


@pytest.mark.acceptance("I-6")
def test_what_has_had_its_time_goes_and_the_rest_stays(old_and_new):
    before = counts()
    assert chores.run(context().settings) == dict.fromkeys(TABLES, 1)
    assert counts() == {name: count - 1 for name, count in before.items()}
    assert "lasting" in db.session.scalars(select(OwnedObject.object_id)).all()
    assert chores.run(context().settings) == dict.fromkeys(TABLES, 0)


@pytest.mark.acceptance("I-6")
def test_nothing_that_is_kept_for_ever_is_deleted(old_and_new):
    before = counts()
    for_ever = context().settings.model_copy(update={"records_days": 0, "audit_days": 0, "deleted_days": 0})
    chores.run(for_ever)
    after = counts()
    assert {name for name in TABLES if after[name] != before[name]} == {
        "sign_ins",
        "half_sign_ins",
        "links",
        "cuts",
        "running_calls",
    }


def test_many_rows_go_in_portions(ctx, monkeypatch):
    monkeypatch.setattr(chores, "PORTION", 3)
    db.session.add_all(Cut(at=utcnow() - timedelta(days=2)) for _ in range(10))
    db.session.commit()
    assert chores.run(context().settings)["cuts"] == 10


def test_a_browser_that_is_still_signed_in_stays_so(alice):
    secret = sign_ins.start(alice, user_agent="")
    assert chores.run(context().settings)["sign_ins"] == 0
    assert sign_ins.find(secret) is not None
