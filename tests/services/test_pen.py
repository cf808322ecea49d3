"""One greenlet writes for a whole worker: claims wait for their commit, records are never lost and never double."""

import os
from types import SimpleNamespace

import gevent
import msgspec
import pytest
from sqlalchemy import event, select, text

from app.extensions import db
from app.models import Attempt, ConversationTotal, OwnedObject, Record, Rollup
from app.protocol.record import End
from app.protocol.usage import Usage
from app.services import batch
from app.services import pen as module
from app.services.batch import Writer
from app.services.call_log import CallLog
from app.services.journal import Journal
from app.services.pen import Pen, Unavailable
from tests.services.writing import at_once, away, claim_row, record, told, writing

pytestmark = pytest.mark.any_database


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def ids(alice, bob, carol):
    """The people's ids; no session stays open beside the pen."""
    known = SimpleNamespace(alice=alice.id, bob=bob.id, carol=carol.id)
    db.session.remove()
    return known


@pytest.fixture
def pen(ids, folder):
    with writing(db.engine, folder) as running:
        yield running


def rows(model):
    with db.engine.connect() as connection:
        return connection.execute(select(model.__table__).order_by(*model.__table__.primary_key)).all()


def eventually(check, seconds=10.0):
    """Let the hub turn until something is so."""
    with gevent.Timeout(seconds, AssertionError(f"it never came true: {check}")):
        while not check():
            gevent.sleep(0.01)


def test_a_claim_returns_when_its_rows_are_committed(pen, ids):
    pen.claim([claim_row("resp_1", ids.alice), claim_row("msg_1", ids.alice, kind="item")])
    assert [(row.kind, row.object_id, row.user_id) for row in rows(OwnedObject)] == [
        ("response", "resp_1", ids.alice),
        ("item", "msg_1", ids.alice),
    ]


def test_a_claim_tells_whether_all_of_its_rows_are_new(pen, ids):
    """Where they are, nobody has to be asked about conflicts; MySQL can't tell, and is asked each time."""
    can_tell = db.engine.dialect.name != "mysql"
    assert pen.claim([claim_row("resp_1", ids.alice)]) is can_tell
    assert pen.claim([claim_row("resp_2", ids.alice), claim_row("msg_1", ids.alice, kind="item")]) is can_tell
    assert not pen.claim([claim_row("resp_2", ids.alice), claim_row("resp_3", ids.alice)])


def test_the_first_to_claim_an_id_keeps_it(pen, ids):
    pen.claim([claim_row("resp_1", ids.alice)])
    assert not pen.claim([claim_row("resp_1", ids.bob)])
    assert not pen.claim([claim_row("resp_1", ids.alice)])
    assert [row.user_id for row in rows(OwnedObject)] == [ids.alice]


def test_of_two_claims_in_one_commit_one_wins(pen, ids):
    at_once(lambda: pen.claim([claim_row("resp_1", ids.alice)]), lambda: pen.claim([claim_row("resp_1", ids.bob)]))
    assert [row.user_id for row in rows(OwnedObject)] == [ids.alice]


@pytest.mark.acceptance("B-10")
@pytest.mark.parametrize("twin", ["RESP_1", "resp_1 ", "Resp_1"])
def test_ids_that_differ_in_case_or_space_are_different(pen, ids, twin):
    pen.claim([claim_row("resp_1", ids.alice)])
    pen.claim([claim_row(twin, ids.bob)])
    assert {row.object_id: row.user_id for row in rows(OwnedObject)} == {"resp_1": ids.alice, twin: ids.bob}


def test_one_id_at_two_upstreams_or_of_two_kinds_is_two_objects(pen, ids):
    pen.claim([claim_row("x", ids.alice)])
    pen.claim([claim_row("x", ids.bob, upstream_id=2)])
    pen.claim([claim_row("x", ids.carol, kind="item")])
    assert [row.user_id for row in rows(OwnedObject)] == [ids.alice, ids.bob, ids.carol]


def test_many_claims_share_few_commits(pen, ids):
    commits = []

    def count(connection):
        commits.append(connection)

    event.listen(db.engine, "commit", count)
    told = at_once(*[lambda n=n: pen.claim([claim_row(f"resp_{n}", ids.alice)]) for n in range(200)])
    event.remove(db.engine, "commit", count)
    assert not [answer for answer in told if isinstance(answer, Exception)]
    assert len(rows(OwnedObject)) == 200
    assert len(commits) <= 5


def test_claims_wait_for_no_records_and_records_not_for_ever(pen, ids, monkeypatch):
    written = []
    monkeypatch.setattr(batch, "post", lambda _connection, notes, *, again: written.append(len(notes)))
    monkeypatch.setattr(module, "NOTE_S", 0.3)  # in which this machine can commit several claims, whatever else it does
    claimed = 0
    with gevent.Timeout(10):
        while len(written) < 3:  # claims follow each other without a pause
            pen.note(record(claimed))
            pen.claim([claim_row(f"resp_{claimed}", ids.alice)])
            claimed += 1
    assert claimed > len(written) * 2
    eventually(lambda: sum(written) == claimed)


def test_a_record_reaches_the_database_with_its_attempts_and_usage(pen):
    pen.note(record(1))
    eventually(lambda: rows(Record))
    (row,) = rows(Record)
    assert (row.id, row.status, row.end, row.total_ms) == (record(1).id, 200, "completed", 12)
    assert (row.upstream_id, row.credential_id) == (2, 5)
    assert (row.usage_state, row.input_tokens, row.cache_read_tokens, row.output_tokens) == ("reported", 2, 1, 4)
    assert row.cache_write_5m_tokens is None
    assert row.usage_raw["input_tokens"] == 3
    assert [(a.n, a.upstream_id, a.status, a.error) for a in rows(Attempt)] == [
        (0, 1, 500, "upstream_error"),
        (1, 2, 200, ""),
    ]


def test_a_record_is_in_the_journal_before_note_returns(pen, folder):
    pen.note(record(1))
    assert rows(Record) == []
    (path,) = folder.glob("*.journal")
    assert record(1).id in path.read_text()


def test_a_record_that_comes_twice_is_kept_once(pen):
    pen.note(record(1))
    eventually(lambda: rows(Record))
    pen.note(record(1, status=500))
    pen.note(record(2))
    eventually(lambda: len(rows(Record)) == 2)
    assert [row.status for row in rows(Record)] == [200, 200]
    assert len(rows(Attempt)) == 4


def sums(model=Rollup):
    return [(row.requests, row.input_tokens, row.output_tokens, row.cost_nanos, row.errors) for row in rows(model)]


def test_every_sum_grows_with_the_record_and_once_with_each(pen):
    pen.note(record(1, cost=70, conversation="c" * 32))
    eventually(lambda: rows(Record))
    pen.note(record(1, cost=70, conversation="c" * 32))
    pen.note(record(2, cost=5, status=500))
    pen.note(record(3, at=1_800_003_600.0, user_id=2, cost=None))
    eventually(lambda: len(rows(Record)) == 3)
    assert sums() == [(2, 4, 8, 75, 1), (1, 2, 4, 0, 0)]
    assert [row.unpriced for row in rows(Rollup)] == [0, 1]
    assert sums(ConversationTotal) == [(1, 2, 4, 70, 0)]


def left(folder, *entries):
    """A dead worker's journal."""
    journal = Journal(folder)
    for entry in entries:
        (journal.open if entry.end is End.ABORTED else journal.append)(*told(entry))
    segment = journal.rotate(at=0)
    segment.release()
    journal._current and journal._current.release()


def test_a_call_whose_worker_died_leaves_a_record(ids, folder):
    left(folder, record(1, end=End.ABORTED), record(2, end=End.ABORTED), record(1))
    with writing(db.engine, folder) as pen:
        pen.closed = lambda record: msgspec.structs.replace(record, cost=9)
        eventually(lambda: len(rows(Record)) == 2)
        eventually(lambda: not list(folder.glob("*.journal")))
    assert [(row.end, row.cost_nanos) for row in rows(Record)] == [("completed", None), ("aborted", 9)]


def test_who_died_is_told_of_once_all_that_the_worker_wrote_was_read(ids, folder):
    """The end of a call may stand in a later segment than its beginning."""
    first = Journal(folder)
    first.open(*told(record(1, end=End.ABORTED)))
    one = first.rotate(at=0)
    first.append(*told(record(1)))
    one.release()
    first._current.release()
    with writing(db.engine, folder):
        eventually(lambda: not list(folder.glob("*.journal")))
    assert [row.end for row in rows(Record)] == ["completed"]


def test_calls_of_a_living_worker_are_open_and_not_dead(ids, folder):
    with writing(db.engine, folder) as pen:
        pen.open(record(1, end=End.ABORTED))
        with away(db.engine):
            pen.note(record(2))
            eventually(lambda: pen._ill)
        eventually(lambda: len(rows(Record)) == 1)
        eventually(lambda: not pen._journal.waiting)
        pen.note(record(1))
        eventually(lambda: len(rows(Record)) == 2)
    assert [row.end for row in rows(Record)] == ["completed", "completed"]


def test_a_flush_leaves_nothing_behind(ids, folder):
    pen = Pen(db.engine, Journal(folder), Writer(db.engine, CallLog()).write)
    for n in range(700):
        pen.note(record(n))
    pen.flush()
    assert len(rows(Record)) == 700
    assert list(folder.glob("*.journal")) == []


def test_with_the_database_away_claims_fail_at_once_and_records_wait_in_the_journal(pen, ids, folder):
    pen.claim([claim_row("resp_0", ids.alice)])
    with away(db.engine):
        for n in range(3):
            pen.note(record(n))
        assert isinstance(at_once(lambda: pen.claim([claim_row("resp_1", ids.alice)]))[0], Unavailable)
        with gevent.Timeout(0.1), pytest.raises(Unavailable):
            pen.claim([claim_row("resp_2", ids.alice)])
        pen.note(record(3))
        assert pen.accepts
        kept = "".join(path.read_text() for path in folder.glob("*.journal"))
        assert all(record(n).id in kept for n in range(4))
    eventually(lambda: len(rows(Record)) == 4)
    eventually(lambda: not pen._ill)
    pen.claim([claim_row("resp_3", ids.alice)])
    assert {row.object_id for row in rows(OwnedObject)} == {"resp_0", "resp_3"}
    assert len(rows(Attempt)) == 8


def test_what_waited_for_the_database_is_told_to_who_counts(pen):
    """A count that began meanwhile knows of it neither by the sums nor by what waits in memory."""
    told = []
    pen.uncounted = told.extend
    with away(db.engine):
        pen.note(record(1))
        eventually(lambda: pen._ill)
    eventually(lambda: told)
    assert [row.id for row in rows(Record)] == [each.id for each in told] == [record(1).id]


def test_what_a_killed_worker_left_is_replayed_once_and_twice_changes_nothing(pen, folder):
    dead = Journal(folder)
    for n in range(3):
        dead.append(*told(record(n)))
    path = dead._current.path
    copy = path.read_bytes()
    dead._current.sync()
    os.close(dead._current._handle)
    pen._journal.adopt()
    eventually(lambda: len(rows(Record)) == 3)
    eventually(lambda: not path.exists())
    before = rows(Record), rows(Attempt)
    path.write_bytes(copy)
    pen._journal.adopt()
    eventually(lambda: not path.exists())
    assert (rows(Record), rows(Attempt)) == before


def test_a_full_disk_refuses_new_calls_and_keeps_what_is_known(pen, folder):
    pen.note(record(1))
    os.dup2(os.open("/dev/full", os.O_WRONLY), pen._journal._current._handle)
    pen.note(record(2))
    assert not pen.accepts
    eventually(lambda: len(rows(Record)) == 2)


def test_a_full_backlog_refuses_new_calls(pen, monkeypatch):
    monkeypatch.setattr("app.services.pen.BACKLOG_MAX", 100)
    assert pen.accepts
    pen.note(record(1))
    assert not pen.accepts


@pytest.mark.acceptance("B-13")
def test_the_owner_of_a_deleted_user_is_nobody(pen, ids):
    pen.claim([claim_row("resp_1", ids.carol)])
    with db.engine.begin() as connection:
        connection.execute(text("DELETE FROM users WHERE id = :id"), {"id": ids.carol})
    assert [row.user_id for row in rows(OwnedObject)] == [None]


def nested(depth):
    raw = []
    for _ in range(depth):
        raw = [raw]
    return raw


@pytest.mark.parametrize("bad", [{"model": "m\0"}, {"bytes_in": 1 << 70}, {"usage": Usage(raw=nested(2000))}])
def test_a_record_that_the_database_refuses_holds_up_no_other(pen, ids, bad):
    """A text with NUL is one on PostgreSQL; whoever can send it must not stop everybody's calls."""
    pen.note(record(1, **bad))
    pen.note(record(2))
    eventually(lambda: record(2).id in {row.id for row in rows(Record)}, seconds=5)
    pen.claim([claim_row("resp_1", ids.alice)])


def test_a_mistake_of_ours_in_one_turn_ends_no_writing(pen, ids, monkeypatch):
    turns = iter([KeyError("a mistake")])
    turn = pen._turn

    def mistaken(*args, **more):
        for mistake in turns:
            raise mistake
        return turn(*args, **more)

    monkeypatch.setattr(pen, "_turn", mistaken)
    pen.note(record(1))
    pen.claim([claim_row("resp_1", ids.alice)])
    eventually(lambda: rows(Record))


def test_a_mistake_of_ours_in_one_record_costs_no_other(pen, ids, monkeypatch):
    commit = pen._commit

    def mistaken(batch):
        if record(2).id.encode() in batch.notes:
            raise KeyError("a mistake")
        return commit(batch)

    monkeypatch.setattr(pen, "_commit", mistaken)
    told = []
    monkeypatch.setattr("app.logs.LISTENERS", [lambda event: told.append(dict(event))])
    for n in range(1, 4):
        pen.note(record(n))
    pen.claim([claim_row("resp_1", ids.alice)])
    eventually(lambda: [row.id for row in rows(Record)] == [record(1).id, record(3).id])
    eventually(lambda: [each["event"] for each in told] == ["internal_error", "record_refused"])
    assert (isinstance(told[0]["exc_info"], KeyError), told[1]["call"]) == (True, record(2).id)
