from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, StatementError

from app.extensions import db
from app.models import AuditEntry, Meta, Model
from app.models.base import utcnow

pytestmark = pytest.mark.any_database


def kept(entry):
    db.session.add(entry)
    db.session.commit()
    db.session.expunge_all()
    return db.session.scalar(select(AuditEntry))


def entry(**changed):
    return AuditEntry(action="a", target="t", **changed)


def test_now_is_aware_and_in_utc():
    assert utcnow().tzinfo is UTC


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8)), timezone(-timedelta(hours=9, minutes=30))])
def test_a_moment_comes_back_as_the_same_moment_in_utc(ctx, zone):
    at = datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=zone)
    found = kept(entry(at=at)).at
    assert found == at
    assert found.tzinfo is UTC


def test_moments_sort_by_when_they_were_whatever_their_zone(ctx):
    late, early = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=8)))
    db.session.add_all([entry(at=late), entry(at=early)])
    db.session.commit()
    assert db.session.scalars(select(AuditEntry.at).order_by(AuditEntry.at)).all() == [early, late]
    assert db.session.scalars(select(AuditEntry.at).where(AuditEntry.at > early)).all() == [late]


def test_a_moment_without_its_zone_is_refused(ctx):
    db.session.add(entry(at=datetime(2026, 1, 1)))
    with pytest.raises(StatementError, match="time zone"):
        db.session.commit()
    db.session.rollback()


@pytest.mark.parametrize("value", [None, [], {}, "", 0, ["gpt-5", "密码"], {"a": [1, 2.5, True, None]}])
def test_a_json_value_comes_back_as_it_was(ctx, value):
    found = kept(entry(after=value))
    assert (found.after, found.before) == (value, None)


def test_names_compare_by_their_bytes(ctx):
    names = ["m", "M", "m ", "ｍ", "é", "e\u0301"]
    db.session.add_all([Model(name=name) for name in names])
    db.session.commit()
    for name in names:
        assert db.session.scalars(select(Model.name).where(Model.name == name)).all() == [name]
    found = db.session.scalars(select(Model.name).order_by(Model.name)).all()
    assert found == sorted(names, key=str.encode)


def test_a_fact_about_the_deployment_is_written_once(ctx):
    db.session.add(Meta(name="generation", value=2))
    with pytest.raises(IntegrityError):
        db.session.commit()
    db.session.rollback()


def test_a_fresh_database_starts_at_generation_one(ctx):
    assert dict(db.session.execute(select(Meta.name, Meta.value)).all()) == {
        "generation": 1,
        "looked": 0,
        "pending_look": 0,
        "pending_seen": 0,
    }
