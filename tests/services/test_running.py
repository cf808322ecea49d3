"""What workers tell of their calls under way: while somebody looks, and no longer than it holds."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from app.extensions import db
from app.models import AuditEntry, Cut, Meta, RunningCalls
from app.models.base import utcnow
from app.models.meta import LOOKED
from app.relay.running import Running, State
from app.services import running
from app.services.context import context
from app.services.running import RunningBoard

pytestmark = pytest.mark.any_database


def call(number, user_id, since=1.0):
    return Running(f"{number:032x}", since, user_id, 7, "responses.create", "m" * 200, True, 3, 5, 900, State.ANSWERING)


@pytest.fixture
def workers(ctx):
    """Two workers' boards, each with what it has under way."""

    def board(calls):
        return RunningBoard(db.engine, context().directory, lambda most: calls[:most])

    return board([call(1, 1, 20.0), call(2, 2, 10.0)]), board([call(3, 1, 5.0)])


def looks():
    with db.engine.connect() as connection:
        return connection.scalar(select(Meta.value).where(Meta.name == LOOKED))


def numbers(found):
    return [int(each.id, 16) for each in found]


def test_nobody_has_told_is_not_nothing_under_way(workers):
    one, _ = workers
    assert one.calls() is None
    RunningBoard(db.engine, context().directory, lambda _: []).tell()
    assert one.calls() == []


def test_all_workers_calls_are_told_the_oldest_first_and_to_users_their_own(workers):
    for board in workers * 2:  # a worker tells again in the same row
        board.tell()
    assert numbers(workers[0].calls()) == [3, 2, 1]
    assert numbers(workers[1].calls(user_id=1)) == [3, 1]
    assert workers[0].calls()[1] == call(2, 2, 10.0)


def test_what_a_dead_worker_told_is_forgotten(workers):
    for board in workers:
        board.tell()
    with db.engine.begin() as connection:
        worker = connection.scalar(select(RunningCalls.worker).limit(1))
        old = update(RunningCalls).where(RunningCalls.worker == worker)
        connection.execute(old.values(at=utcnow() - running.FRESH - timedelta(seconds=1)))
    assert 1 <= len(workers[0].calls()) <= 2


def test_looks_are_told_at_most_every_few_seconds_and_heard_with_the_generation(workers, monkeypatch):
    one, other = workers
    context().directory.refresh()
    before = context().directory.looked
    one.look()
    one.look()
    assert looks() == before + 1
    other.look()
    context().directory.refresh()
    assert context().directory.looked == before + 2
    monkeypatch.setattr(running, "LOOK_S", 0.0)
    one.look()
    assert looks() == before + 3


def test_a_full_worker_tells_of_the_longest(ctx, monkeypatch):
    monkeypatch.setattr(running, "MOST", 2)
    board = RunningBoard(db.engine, context().directory, lambda most: [call(n, 1, float(n)) for n in range(9)][:most])
    board.tell()
    assert numbers(board.calls()) == [0, 1]


def test_ending_is_for_the_owner_or_an_administrator_and_written_down(workers, alice, monkeypatch):
    monkeypatch.setattr(running, "WAIT_S", 0.0)
    one, other = workers
    other.tell()
    assert one.end(f"{3:032x}", actor=alice, owner=alice)
    assert not one.end(f"{2:032x}", actor=alice, owner=alice), "nobody told of it"
    one.tell()
    assert not one.end(f"{2:032x}", actor=alice, owner=alice), "another's"
    assert one.end(f"{2:032x}", actor=alice, owner=None)
    assert db.session.scalars(select(Cut.call_id).order_by(Cut.id)).all() == [f"{3:032x}", f"{2:032x}"]
    entries = db.session.scalars(
        select(AuditEntry).where(AuditEntry.action == "call.end").order_by(AuditEntry.id)
    ).all()
    assert [(entry.actor_id, entry.target) for entry in entries] == [
        (alice.id, f"call {3:032x}"),
        (alice.id, f"call {2:032x}"),
    ]
    assert entries[1].before == {"user": 2, "token": 7, "model": "m" * 200, "sent": 900}
