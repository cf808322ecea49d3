"""Who asks for background responses that nobody reads, which of them, and when; each statement on each database."""

import json
from datetime import timedelta
from types import SimpleNamespace

import gevent
import pytest
from sqlalchemy import select, update

from app.extensions import db
from app.models import Meta, OwnedObject, Record
from app.models.base import utcnow
from app.models.meta import PENDING_SEEN
from app.protocol.record import GOES_ON, End
from app.protocol.usage import UNKNOWN
from app.services import pending, upstreams
from app.services.counters import Counters
from app.services.ledger import Ledger
from app.services.limits import Limits
from app.services.pending import Pending
from app.services.registry import Registry
from app.services.spent import Spent
from tests.provider import provider
from tests.services.writing import at_once, claim_row, record, writing

pytestmark = pytest.mark.any_database
NOW = utcnow()
DAY_S = 86_400


@pytest.fixture
def desk(app, alice, tmp_path, monkeypatch):
    """Alice, whose responses live at a provider that tells of each id that it has ended."""
    alice_id = alice.id
    with provider() as there, writing(db.engine, tmp_path / "journal") as pen:
        monkeypatch.setattr(type(there), "answer", lambda it, _: (it.status, it.tell(it.seen[-1][0])))
        there.tell = ended
        made = upstreams.create(
            name="a", kind="openai", base_url=f"{there.url}/v1", key="sk-x", priority=0, weight=1, actor=None
        )
        ids = {"upstream_id": made.id, "credential_id": made.credentials[0].id}
        db.session.remove()
        directory = app.extensions["realms"].directory
        directory.refresh()
        ledger = Ledger(db.engine, pen, directory, Limits(directory, Counters(), Spent(db.engine)))
        parts = db.engine, Registry(db.engine, pen, directory), ledger, app.extensions["realms"].egress

        def make(n, *, age_s=90.0, end=End.PENDING, **more):
            at = NOW - timedelta(seconds=age_s)
            call = record(n, at=at.timestamp(), end=end, usage=UNKNOWN, user_id=alice_id, **more)
            pen.claim([claim_row(f"resp_{n}", alice_id, call_id=call.id, created_at=at, **ids)])
            ledger.settle(call)
            wait_for(n)

        yield SimpleNamespace(
            make=make, there=there, upstream_id=made.id, directory=directory, workers=[Pending(*parts) for _ in "ab"]
        )


def ended(path, **more):
    told = {"id": path.rpartition("/")[2], "status": "completed", "usage": {"input_tokens": 7, "output_tokens": 8}}
    return json.dumps(told | more).encode()


def rows():
    with db.engine.connect() as connection:
        return {int(row.id, 16): row for row in connection.execute(select(Record.__table__))}


def wait_for(n):
    with gevent.Timeout(10):
        while n not in rows():
            gevent.sleep(0.01)


def settled():
    return {n for n, row in rows().items() if row.usage_state == "reported"}


def asked(desk):
    return [path.rpartition("_")[2] for path, _ in desk.there.seen]


def test_what_has_ended_is_settled_and_never_asked_for_again(desk):
    desk.make(1)
    assert desk.workers[0].look(NOW) == 1
    row = rows()[1]
    assert (row.end, row.usage_state, row.input_tokens, row.output_tokens) == ("completed", "reported", 7, 8)
    path, headers = desk.there.seen[0]
    assert (path, headers["authorization"]) == ("/v1/responses/resp_1", "Bearer sk-x")
    for hours in range(1, 25):
        desk.workers[0].look(NOW + timedelta(hours=hours))
    assert asked(desk) == ["1"]


def test_of_workers_that_look_at_once_one_does_and_then_none_for_a_while(desk):
    desk.make(1)
    assert sorted(at_once(*(lambda each=each: each.look(NOW) for each in desk.workers * 4))) == [0] * 7 + [1]
    desk.there.tell = lambda path: ended(path, status="in_progress")
    desk.make(2, age_s=30)
    assert desk.workers[1].look(NOW + timedelta(seconds=45)) == 0
    assert desk.workers[1].look(NOW + timedelta(seconds=61)) == 1
    assert asked(desk) == ["1", "2"]


def test_a_response_is_asked_for_ever_more_rarely_and_for_a_day(desk, monkeypatch):
    desk.make(1, age_s=0)
    desk.there.tell = lambda path: ended(path, status="queued")
    monkeypatch.setattr(pending, "STEP_S", 7200)
    monkeypatch.setattr(pending, "LATE_S", 7200)
    turns = []
    for minute in (*range(140), *range(140, 1560, 2)):
        if desk.workers[minute % 2].look(NOW + timedelta(minutes=minute)):
            turns.append(minute)
    assert turns == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1430]
    assert settled() == set()


@pytest.mark.parametrize("age_s", [30, DAY_S + 90, 2 * DAY_S])
def test_what_is_too_young_or_older_than_a_day_is_left_as_it_is(desk, age_s):
    desk.make(1, age_s=age_s)
    assert (desk.workers[0].look(NOW), asked(desk)) == (0, [])


def test_only_what_goes_on_at_a_place_that_is_in_use_is_asked_for(desk):
    for n, more in enumerate(
        (
            {"end": End.COMPLETED},
            {"end": End.CLIENT_LEFT},
            {"end": End.CLIENT_LEFT, "reason": GOES_ON},
            {},
            {},
        )
    ):
        desk.make(n, **more)
    with db.engine.begin() as connection:
        gone = update(OwnedObject).where(OwnedObject.object_id == "resp_3").values(deleted_at=NOW)
        connection.execute(gone)
        connection.execute(update(OwnedObject).where(OwnedObject.object_id == "resp_4").values(user_id=None))
    upstreams.set_enabled(desk.upstream_id, enabled=False, actor=None)
    db.session.remove()
    desk.directory.refresh()
    assert desk.workers[0].look(NOW) == 0
    upstreams.set_enabled(desk.upstream_id, enabled=True, actor=None)
    db.session.remove()
    desk.directory.refresh()
    desk.workers[0].look(NOW + timedelta(seconds=100))
    assert asked(desk) == ["2"]
    assert (rows()[2].end, rows()[2].usage_state) == ("client_left", "reported")


def test_of_many_some_have_their_turn_at_each_look_in_order(desk, monkeypatch):
    monkeypatch.setattr(pending, "MOST", 2)
    monkeypatch.setattr(pending, "AT_ONCE", 1)
    for n in range(5):
        desk.make(n, age_s=100 - n)
    looks = [desk.workers[n % 2].look(NOW + timedelta(seconds=61 * n)) for n in range(4)]
    assert (looks, asked(desk)) == ([2, 2, 1, 0], ["0", "1", "2", "3", "4"])


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"usage":' * 9000 + b"1" + b"}" * 9000])
def test_nonsense_leaves_one_pending_and_the_others_have_their_turn(desk, body):
    desk.make(1)
    desk.make(2)
    desk.there.tell = lambda path: body if path.endswith("1") else ended(path)
    assert desk.workers[0].look(NOW) == 2
    assert settled() == {2}


@pytest.mark.parametrize(
    "told",
    [
        {"id": "resp_2"},
        {"id": ["resp_1"]},
        {"status": ["completed"]},
        {"status": None},
        {"usage": None},
        {"usage": {"input_tokens": -1}},
        {"usage": [[[]]]},
    ],
    ids=str,
)
def test_what_tells_of_another_response_or_of_no_end_settles_nothing(desk, told):
    desk.make(1)
    desk.make(2, age_s=30)
    desk.there.tell = lambda path: ended(path, **told)
    assert desk.workers[0].look(NOW) == 1
    assert settled() == set()


@pytest.mark.parametrize("status", [302, 404, 500])
def test_another_status_settles_nothing(desk, status):
    desk.make(1)
    desk.there.status, desk.there.headers = status, {"location": f"{desk.there.url}/v1/responses/resp_1?elsewhere"}
    assert (desk.workers[0].look(NOW), settled(), asked(desk)) == (1, set(), ["1"])


def test_an_upstream_that_nobody_answers_at_is_not_waited_for_again_and_again(desk, monkeypatch):
    monkeypatch.setattr(pending, "AT_ONCE", 1)
    monkeypatch.setattr(pending, "BODY_MAX", 10)
    desk.make(1)
    desk.make(2)
    assert (desk.workers[0].look(NOW), len(asked(desk)), settled()) == (2, 1, set())


def test_after_an_outage_of_all_workers_turns_are_had_late_and_after_a_long_one_left_out(desk):
    desk.make(1, age_s=0)
    desk.there.tell = lambda path: ended(path, status="queued")
    desk.workers[0].look(NOW)
    late = [desk.workers[0].look(NOW + timedelta(minutes=minute)) for minute in range(40, 56)]
    assert late == [1, 1, 0, 1, 0, 0, 1] + [0] * 9, "at 1, 2 and 4 minutes, which are one, at 8, 16 and 32"
    assert [desk.workers[0].look(NOW + timedelta(minutes=minute)) for minute in (510, 513)] == [0, 1]


@pytest.mark.parametrize("wrong", [timedelta(days=300), timedelta(seconds=20)])
def test_a_clock_that_was_wrong_keeps_nobody_from_looking_for_long(desk, wrong):
    desk.workers[0].look(NOW + wrong)
    desk.make(1, age_s=30)
    looks = [desk.workers[1].look(NOW + timedelta(seconds=61 * n)) for n in range(4)]
    assert sum(looks) == 1
    with db.engine.connect() as connection:
        seen = connection.scalar(select(Meta.value).where(Meta.name == PENDING_SEEN))
    assert abs(seen / 1e6 - NOW.timestamp()) < 300


def test_no_failure_ends_the_looking(desk, monkeypatch):
    monkeypatch.setattr(pending, "LOOK_S", 0.04)
    looks = []

    def look():
        looks.append(1)
        raise [ValueError, OSError, RecursionError][len(looks) % 3]

    monkeypatch.setattr(desk.workers[0], "look", look)
    looking = gevent.spawn(desk.workers[0]._look_for_ever)
    try:
        with gevent.Timeout(10):
            while len(looks) < 6:
                gevent.sleep(0.01)
    finally:
        looking.kill()
