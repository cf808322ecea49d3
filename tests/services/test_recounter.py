"""Counts of money that missed a call are brought up to the sums: once, whoever looks, and how often."""

from types import SimpleNamespace

import pytest
from sqlalchemy import select

from app import models
from app.extensions import db
from app.models.base import utcnow
from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.protocol.limit import Measure
from app.protocol.price import Price, Rates, Tariff
from app.protocol.record import End
from app.protocol.usage import UNKNOWN
from app.services import allowances, posting, shared_recounts
from app.services.counters import Counters
from app.services.limits import Limits
from app.services.recounter import Recounter
from app.services.recounts import Recounts
from app.services.shared import Breaker
from app.services.shared_counters import SharedCounters
from app.services.shared_recounts import SharedRecounts
from app.services.snapshot import ModelEntry
from app.services.spent import Spent
from app.services.standing import Standings
from tests.services.test_shared_counters import client  # noqa: F401 - a fixture
from tests.services.writing import record, writing

pytestmark = pytest.mark.any_database
ENTRY = ModelEntry("m", "", 0, (), (Price(1, 0.0, Tariff(Rates(input=0, output=1_000_000_000))),))
MEASURES = (Measure.DAY, Measure.WEEK, Measure.MONTH, Measure.TOTAL)
MOST = 1_000_000_000


class Worker:
    """One that counts calls; all of them reserve 500,000 nano-dollars."""

    def __init__(self, user, counters, recounts):
        directory = SimpleNamespace(snapshot=SimpleNamespace(model={"m": ENTRY}.get))
        self.user, self.counters = user, counters
        self.limits = Limits(directory, counters, Spent(db.engine))
        self.recounter = Recounter(db.engine, directory, recounts)

    @property
    def rules(self):
        with db.engine.connect() as connection:
            return allowances.rules(connection, "user", {self.user}).get(self.user, ())

    def begin(self, number, conversation="c" * 32):
        body = parse(b'{"model":"m","input":"x","max_output_tokens":500}')
        caller = Caller(self.user, 1, "mark", rules=self.rules)
        endpoint = BY_NAME["responses.create"]
        call = Call(
            id=f"{number:032x}", request_id="r", endpoint=endpoint, caller=caller, body=body, model="m", stores=True
        )
        self.limits.acquire(call, conversation)

    def record(self, number, cost, **more):
        at = utcnow().timestamp()
        return record(number, cost=cost, user_id=self.user, at=at, conversation="c" * 32, **more)

    def end(self, number, cost, **more):
        done = self.record(number, cost, **more)
        self.limits.settle(done)
        self.keep(done)

    def read(self, number, cost):
        """Its owner reads how a call ended, after it was settled."""
        with db.engine.begin() as connection:
            mine = select(models.Record.__table__).where(models.Record.id == f"{number:032x}")
            row = dict(connection.execute(mine).one()._mapping)
            posting.move(connection, [(row, row | {"cost_nanos": cost})])
        done = self.record(number, cost)
        self.recounter.doubt([done])
        self.limits.complete(done)
        settle(self)

    def keep(self, *records):
        with db.engine.begin() as connection:
            posting.post(connection, list(records), again=True)

    def look(self, meanwhile=lambda: None):
        self.recounter.look(lambda _s: meanwhile())

    def used(self):
        told = {each.rule.measure: each.used for each in Standings(self.counters, Spent(db.engine)).of(self.rules)}
        conversation = next(rule for rule in self.rules if rule.measure is Measure.CONVERSATION)
        (of_talk,) = self.counters.peek([f"{conversation.key}:{'c' * 32}"])
        assert {of_talk, *told.values()} == {of_talk}, "each measure has the same"
        return of_talk


def alone(_client):
    counters = Counters()
    return lambda: (counters, Recounts(counters))


def shared(client):  # noqa: F811
    def one():
        breaker = Breaker(client)
        counters = SharedCounters(client, share=4, breaker=breaker)
        return counters, SharedRecounts(counters, client, breaker)

    return one


@pytest.fixture(params=[alone, shared])
def hire(request, client, alice):  # noqa: F811
    """Hire workers that count together."""
    allowances.put("user", alice.id, most=dict.fromkeys((*MEASURES, Measure.CONVERSATION), MOST), actor=None)
    user, make = alice.id, request.param(client)
    db.session.remove()
    return lambda: Worker(user, *make())


def settle(worker):
    if isinstance(worker.counters, SharedCounters):
        worker.counters._givings.give_back()


def again(worker):
    """The lease of whoever looked last lapses."""
    if isinstance(worker.counters, SharedCounters):
        worker.counters._client.delete(shared_recounts.LOOKING)


def test_what_a_dead_workers_calls_cost_is_counted_once(hire, tmp_path):
    one = hire()
    one.begin(1)
    one.end(1, 100)
    settle(one)
    dead = one.record(2, 70, end=End.ABORTED)
    one.keep(dead)
    one.recounter.doubt([dead, dead])
    for other in (one, hire(), one):
        again(one)
        other.look()
        assert one.used() == 170
    one.recounter.doubt([dead])
    again(one)
    one.look()
    assert one.used() == 170


def test_what_calls_under_way_hold_is_not_taken_for_spent(hire):
    one = hire()
    one.begin(1)
    dead = one.record(2, 70, end=End.ABORTED)
    one.keep(dead)
    one.recounter.doubt([dead])
    one.look()
    assert one.used() == 500_070
    one.end(1, 100)
    settle(one)
    assert one.used() == 170


def test_what_ends_meanwhile_counts_once_and_the_doubt_stays(hire):
    one = hire()
    one.begin(1)
    one.begin(2)
    dead = one.record(3, 70, end=End.ABORTED)
    one.keep(dead)
    one.recounter.doubt([dead])

    def ends():
        one.end(1, 100)
        settle(one)

    one.look(ends)
    assert 500_100 <= one.used() <= 500_170, "never more than there is"
    again(one)
    one.look()
    assert one.used() == 500_170
    again(one)
    one.look(lambda: pytest.fail("nothing is in doubt any more"))


def test_what_comes_into_doubt_while_somebody_looks_is_looked_at_again(hire):
    one = hire()
    one.begin(1)
    dead = [one.record(number, 70, end=End.ABORTED) for number in (2, 3)]
    one.keep(dead[0])
    one.recounter.doubt(dead[:1])

    def another():
        one.keep(dead[1])
        one.recounter.doubt(dead[1:])

    one.look(another)
    again(one)
    one.look()
    assert one.used() == 500_140


def test_who_was_never_counted_is_asked_of_the_sums_still(hire):
    one = hire()
    dead = one.record(3, 70, end=End.ABORTED)
    one.keep(dead)
    one.recounter.doubt([dead])
    one.look()
    one.begin(1)
    assert one.used() == 500_070


def test_the_pen_says_what_a_dead_worker_left(hire, tmp_path):
    from tests.services.test_pen import eventually, left

    one = hire()
    one.begin(9)
    done = [one.record(1, 70), one.record(2, 30, end=End.ABORTED)]
    left(tmp_path / "journal", *done)
    with writing(db.engine, tmp_path / "journal") as pen:
        pen.uncounted = one.recounter.doubt
        eventually(lambda: not list((tmp_path / "journal").glob("*.journal")))
    one.look()
    assert one.used() == 500_100


def test_what_a_call_cost_after_all_holds_whoever_looks_meanwhile(hire):
    one = hire()
    one.begin(1)
    one.end(1, 1000, usage=UNKNOWN.at_least(input=1, output=1))
    settle(one)
    one.recounter.doubt([one.record(1, 1000)])
    one.look(lambda: one.read(1, 100))
    assert one.used() == 100
    again(one)
    one.look()
    assert one.used() == 100


def test_what_a_reservation_made_up_for_is_found_once_that_is_gone(hire):
    one = hire()
    one.begin(1)
    one.end(1, None, usage=UNKNOWN)
    settle(one)
    dead = one.record(2, 70, end=End.ABORTED)
    one.keep(dead)
    one.recounter.doubt([dead])
    one.look()
    assert one.used() == 500_000
    one.read(1, 100)
    assert one.used() == 100
    again(one)
    one.look()
    assert one.used() == 170
