"""What pages tell about requests."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from app.extensions import db
from app.models import Record
from app.models.base import utcnow
from app.services import posting, reports
from app.services.reports import Scope
from tests.services.writing import record

pytestmark = pytest.mark.any_database


def test_last_requests_are_ones_own_newest_first(alice, bob):
    for number, user in enumerate((alice, bob, alice, alice)):
        row = {
            "request_id": "r",
            "token_id": 1,
            "endpoint": "e",
            "protocol": "openai",
            "status": 200,
            "end": "completed",
        }
        at = utcnow() - timedelta(minutes=number)
        db.session.add(Record(id=str(number), at=at, user_id=user.id, total_ms=1, **row))
    db.session.commit()
    assert [each.id for each in reports.last_requests(alice, 2)] == ["0", "2"]
    assert [each.id for each in reports.last_requests(bob, 9)] == ["1"]


HOUR, DAY = 3600, 86400
NOW = 1_800_000_000.0
BEGIN = datetime.fromtimestamp(NOW - 40 * DAY, UTC)


@pytest.fixture
def sums(ctx):
    notes = [
        record(1, at=NOW, cost=1, conversation="a" * 32),
        record(2, at=NOW - HOUR, cost=10, model="n", token_id=2, conversation="a" * 32),
        record(3, at=NOW - 2 * DAY, cost=100, status=500),
        record(4, at=NOW - 2 * DAY + HOUR, cost=None, conversation="b" * 32),
        record(5, at=NOW, cost=1000, user_id=2),
    ]
    with db.engine.begin() as connection:
        posting.post(connection, notes, again=False)


def test_sums_are_of_whom_and_when_they_are_asked_for(sums):
    def cost(scope, begin=BEGIN, end=None):
        return reports.totals(scope, begin, end).cost_nanos

    assert cost(Scope()) == 1111
    assert cost(Scope(user_id=1), reports.days_ago(1, datetime.fromtimestamp(NOW, UTC))) == 11
    assert cost(Scope(user_id=1), reports.days_ago(2, datetime.fromtimestamp(NOW, UTC))) == 111
    assert cost(Scope(user_id=1)) == 111
    assert cost(Scope(token_id=2)) == 10
    assert cost(Scope(user_id=1, model="m")) == 101
    assert cost(Scope(user_id=1), datetime.fromtimestamp(NOW, UTC)) == 1
    assert cost(Scope(user_id=1), end=datetime.fromtimestamp(NOW - DAY, UTC)) == 100
    assert cost(Scope(user_id=9)) == 0
    told = reports.totals(Scope(user_id=1), BEGIN)
    assert (told.requests, told.errors, told.unpriced, told.cache_share) == (4, 1, 1, 4 / 12)
    assert reports.totals(Scope(user_id=9), BEGIN).cache_share is None


def test_sums_are_grouped(sums):
    def costs(by):
        return {key: sums.cost_nanos for key, sums in reports.grouped(Scope(user_id=1), by, BEGIN)}

    assert costs("model") == {"m": 101, "n": 10}
    assert costs("token_id") == {1: 101, 2: 10}
    assert list(costs("hour").values()) == [100, 0, 10, 1]
    assert list(costs("day").values()) == [100, 11]
    whole = reports.days_ago(30, datetime.fromtimestamp(NOW, UTC))
    assert [sums.cost_nanos for _, sums in reports.grouped(Scope(user_id=1), "day", whole)] == [100, 11]
    assert [sums.cost_nanos for _, sums in reports.grouped(Scope(user_id=1), "hour", whole)] == [100, 0, 10, 1]


@pytest.fixture
def asked():
    """What the database was asked for, query by query."""
    found = []

    def note(_connection, _cursor, statement, *_more):
        if "rollups" in statement:
            found.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield found
    event.remove(db.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
@pytest.mark.parametrize("by", ["hour", "day", "model", "user_id", "token_id", "upstream_id"])
def test_an_export_has_the_sums_in_portions_and_reads_each_when_it_is_wanted(ctx, monkeypatch, asked, by, zone):
    monkeypatch.setattr(reports, "PORTION", 3)
    notes = [
        record(n, at=NOW - n * 7 * HOUR, cost=n, model=f"m{n % 8}", token_id=n % 7, user_id=n % 9, attempts=())
        for n in range(1, 200)
    ]
    with db.engine.begin() as connection:
        posting.post(connection, notes, again=False)
    now = datetime.fromtimestamp(NOW, ZoneInfo(zone) if zone != "UTC" else UTC)
    begin = reports.days_ago(40, now)
    whole = reports.grouped(Scope(), by, begin)
    asked.clear()
    portions = reports.every(db.engine, Scope(), by, begin, now)
    first, queries = next(portions), len(asked)
    rest = list(portions)
    assert queries <= 4
    assert sorted([*first, *(each for portion in rest for each in portion)]) == whole
    assert max(map(len, [first, *rest])) <= (24 if by == "hour" else 31 if by == "day" else 3)
    if by != "upstream_id":
        assert len(asked) > queries, "the rest was read later"


def test_an_export_begins_where_there_is_something(sums, asked):
    """Somebody came two days ago, and a year is asked for."""
    now = datetime.fromtimestamp(NOW, ZoneInfo("Asia/Shanghai"))
    for by in ("hour", "day"):
        asked.clear()
        first = next(reports.every(db.engine, Scope(user_id=1), by, reports.days_ago(365, now), now))
        assert sum(each.cost_nanos for _, each in first) == (100 if by == "hour" else 111)
        assert len(asked) == 2


def test_an_export_of_nothing_is_empty(ctx):
    now = datetime.fromtimestamp(NOW, UTC)
    for by in ("hour", "model"):
        assert [each for portion in reports.every(db.engine, Scope(), by, BEGIN, now) for each in portion] == []


def test_those_with_the_most_requests_are_found_by_the_database(ctx):
    notes = [record(n, at=NOW - n * HOUR, cost=n, model=f"m{n % 7 % 5}") for n in range(60)]
    with db.engine.begin() as connection:
        posting.post(connection, notes, again=False)
    for zone in (UTC, ZoneInfo("Asia/Kolkata")):
        begin = reports.days_ago(1, datetime.fromtimestamp(NOW, zone))
        all_ = reports.grouped(Scope(user_id=1), "model", begin)
        told = reports.leading(Scope(user_id=1), "model", begin, 3)
        assert told == sorted(all_, key=lambda each: (-each[1].requests, each[0]))[:3]
        assert reports.leading(Scope(user_id=2), "model", begin, 3) == []


def test_days_begin_in_the_zone_that_is_asked_in():
    now = datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
    assert reports.days_ago(0, now).isoformat() == "2026-03-01T00:00:00+00:00"
    assert reports.days_ago(1, now).isoformat() == "2026-02-28T00:00:00+00:00"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu"])
def test_sums_of_any_zones_days_are_those_of_its_hours(ctx, zone):
    """Whole days by UTC are read from the sums of days: what is told is the same as by the hour."""
    notes = [record(n, at=NOW - n * 7 * HOUR, cost=n, model="mn"[n % 2]) for n in range(1, 90)]
    with db.engine.begin() as connection:
        posting.post(connection, notes, again=False)
    now = datetime.fromtimestamp(NOW, ZoneInfo(zone))
    for days in (0, 1, 7):
        begin = posting.hour_of(reports.days_ago(days, now))
        expected = sum(
            n for n in range(1, 90) if posting.hour_of(datetime.fromtimestamp(NOW - n * 7 * HOUR, UTC)) >= begin
        )
        assert reports.totals(Scope(), reports.days_ago(days, now)).cost_nanos == expected
        by_model = reports.grouped(Scope(), "model", reports.days_ago(days, now))
        assert sum(sums.cost_nanos for _, sums in by_model) == expected
        by_day = reports.grouped(Scope(), "day", reports.days_ago(days, now))
        assert sum(sums.cost_nanos for _, sums in by_day) == expected
        assert all(day == reports.days_ago(0, day) for day, _ in by_day)
        told = reports.trend(Scope(), "day", reports.days_ago(days, now), reports.days_ago(-1, now))
        assert sum(sums.cost_nanos for _, sums in told) == expected
        assert len(told) == days + 1
    begins = [reports.days_ago(days, now) for days in (0, 6, 29)]
    assert reports.totals_since(Scope(), begins) == [reports.totals(Scope(), begin) for begin in begins]
    begin, end = reports.days_ago(9, now), reports.days_ago(2, now)
    parts = [
        reports.totals(Scope(), reports.days_ago(d, now), reports.days_ago(d - 1, now)).cost_nanos
        for d in range(9, 2, -1)
    ]
    assert reports.totals(Scope(), begin, end).cost_nanos == sum(parts)
