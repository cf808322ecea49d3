"""A day at a glance is found in few queries, however many records there are."""

from datetime import timedelta

import pytest
from sqlalchemy import insert

from app.extensions import db
from app.models import Record
from app.models.base import utcnow
from app.services import glance, posting
from tests.services.writing import record

pytestmark = pytest.mark.any_database


def rows(count, **values):
    now = utcnow()
    shared = {"request_id": "r", "user_id": 1, "token_id": 1, "endpoint": "chat.create", "protocol": "openai"}
    shared |= {"status": 200, "end": "completed", "total_ms": 10, "first_byte_ms": 5}
    base = values.pop("base")
    return [shared | values | {"id": f"{base}-{n:08}", "at": now - timedelta(seconds=n)} for n in range(count)]


def test_kinds_are_counted_the_most_frequent_first_and_the_slowest_found(ctx):
    told = rows(30, base="fine") + rows(3, base="limit", status=429, end="refused", reason="rate_limit")
    told += rows(5, base="cut", end="upstream_cut", reason="broken", first_byte_ms=70)
    told += rows(1, base="pending", end="pending", first_byte_ms=None)
    db.session.execute(insert(Record), told)
    found = glance.glance(utcnow())
    assert [(kind.status, kind.end, kind.reason, kind.count) for kind in found.kinds] == [
        (200, "upstream_cut", "broken", 5),
        (429, "refused", "rate_limit", 3),
    ]
    assert [record.first_byte_ms for record in found.slowest] == [70] * 5
    assert all(kind.last_at.tzinfo for kind in found.kinds)


def test_only_the_newest_are_looked_at(ctx, monkeypatch):
    monkeypatch.setattr(glance, "LOOKED_AT", 4)
    db.session.execute(insert(Record), rows(9, base="failed", status=500, end="failed", reason="x"))
    assert [kind.count for kind in glance.glance(utcnow()).kinds] == [4]
    assert not glance.glance(utcnow()).partly, "nothing was added up here"


def test_a_days_sums_are_added_up_once_by_hour_by_upstream_and_in_all(ctx):
    now = utcnow()
    ages = {1: 0, 2: 1, 3: 1, 4: 23, 5: 24.1}
    told = [record(n, at=(now - timedelta(hours=age)).timestamp(), cost=10**n) for n, age in ages.items()]
    told.append(record(6, at=now.timestamp(), cost=7, attempts=()))
    with db.engine.begin() as connection:
        posting.post(connection, told, again=False)
    day = glance.day(now)
    assert (day.totals.cost_nanos, day.totals.requests) == (11_117, 5)
    assert {upstream: sums.cost_nanos for upstream, sums in day.upstreams.items()} == {0: 7, 2: 11_110}
    assert {hour: sums.cost_nanos for hour, sums in day.hours.items()} == {
        posting.hour_of(now): 17,
        posting.hour_of(now - timedelta(hours=1)): 1100,
        day.begin: 10_000,
    }
