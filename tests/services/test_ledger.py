"""The record of each call: kept, told to the log without a word of content, and completed by who reads the end."""

from datetime import UTC, datetime
from types import SimpleNamespace

import gevent
import msgspec
import pytest
from sqlalchemy import select

from app.extensions import db
from app.models import Record
from app.protocol.call import Caller
from app.protocol.errors import Problem, RelayError
from app.protocol.price import Price, Rates, Tariff
from app.protocol.record import End
from app.protocol.usage import UNKNOWN, from_object
from app.services.counters import Counters
from app.services.journal import Journal
from app.services.ledger import Ledger
from app.services.limits import Limits
from app.services.meter import Meter
from app.services.snapshot import EMPTY, ModelEntry
from app.services.spent import Spent
from tests.services.writing import away, claim_row, record, told, writing

pytestmark = pytest.mark.any_database
USAGE = from_object({"input_tokens": 7, "output_tokens": 8})


def priced(name, dollars):
    """A configuration in which a million tokens of a model cost so much."""
    price = Price(1, 0.0, Tariff(Rates(input=dollars * 10**9, output=dollars * 10**9)))
    entry = ModelEntry(name, "owner", 1, (), (price,))
    if name.endswith("*"):
        return msgspec.structs.replace(EMPTY, patterns=((name[:-1], entry),))
    return msgspec.structs.replace(EMPTY, models={name: entry})


@pytest.fixture
def book(alice, bob, tmp_path):
    people = SimpleNamespace(alice=Caller(alice.id, 1, "m"), bob=Caller(bob.id, 2, "m"))
    db.session.remove()
    with writing(db.engine, tmp_path / "journal") as pen:
        directory = SimpleNamespace(snapshot=EMPTY)
        limits = Limits(directory, Counters(), Spent(db.engine))
        meter = Meter()
        yield SimpleNamespace(
            meter=meter,
            ledger=Ledger(db.engine, pen, directory, limits, listeners=[meter.count]),
            pen=pen,
            people=people,
            directory=directory,
        )


def rows():
    with db.engine.connect() as connection:
        return connection.execute(select(Record.__table__).order_by(Record.id)).all()


def settled(count):
    with gevent.Timeout(10):
        while len(rows()) < count:
            gevent.sleep(0.01)
    return rows()


def pending(book, **more):
    """A background response of alice's that goes on without her."""
    call = record(1, end=End.PENDING, usage=UNKNOWN, **more)
    book.pen.claim([claim_row("resp_1", book.people.alice.user_id, call_id=call.id)])
    book.ledger.settle(call)
    settled(1)


def test_a_record_is_kept_as_it_is(book):
    book.ledger.settle(record(1))
    (row,) = settled(1)
    assert (row.request_id, row.model, row.end) == ("req_1", "m", "completed")
    assert row.at == datetime.fromtimestamp(1_800_000_000.25, UTC).replace(tzinfo=row.at.tzinfo)


@pytest.mark.parametrize("meanwhile", [EMPTY, priced("m*", 9)], ids=["no model", "a dearer pattern"])
def test_a_call_is_paid_as_when_it_was_admitted_whatever_became_of_its_model(book, meanwhile):
    book.directory.snapshot = priced("m", 2)
    book.ledger.open(record(1, end=End.ABORTED, usage=UNKNOWN))
    book.directory.snapshot = meanwhile
    book.ledger.settle(record(1, usage=USAGE))
    assert settled(1)[0].cost_nanos == 15 * 2_000


def test_a_price_that_was_missing_is_in_force_for_calls_that_run(book):
    book.ledger.open(record(1, end=End.ABORTED, usage=UNKNOWN))
    book.directory.snapshot = priced("m", 2)
    book.ledger.settle(record(1, usage=USAGE))
    assert settled(1)[0].cost_nanos == 15 * 2_000


def test_a_call_of_another_releases_endpoint_whose_worker_died_has_its_record_too(book, tmp_path):
    """The release before takes over the journal of the one after, when that was tried and taken back."""
    dead = Journal(tmp_path / "journal")
    for n, endpoint in enumerate(("sounds.create", "responses.create")):
        dead.open(*told(record(n, endpoint=endpoint, end=End.ABORTED, usage=UNKNOWN, bytes_in=100)))
    dead.rotate(at=0).release()
    dead._current.release()
    book.pen._adopted = 0.0  # it looks now
    assert [(row.endpoint, row.end, row.usage_state) for row in settled(2)] == [
        ("sounds.create", "aborted", "unknown"),
        ("responses.create", "aborted", "estimated"),
    ]


def test_a_settled_call_is_counted(book):
    book.ledger.settle(record(1))
    assert book.meter.samples()['realms_calls_total{endpoint="responses.create",status="200",end="completed"}'] == 1


def test_who_reads_a_background_response_brings_its_usage(book):
    pending(book)
    book.ledger._complete(book.people.alice, "resp_1", USAGE)
    (row,) = rows()
    assert (row.end, row.usage_state, row.input_tokens, row.output_tokens) == ("completed", "reported", 7, 8)


def test_usage_that_is_known_is_never_replaced(book):
    pending(book)
    book.ledger._complete(book.people.alice, "resp_1", USAGE)
    book.ledger._complete(book.people.alice, "resp_1", from_object({"input_tokens": 99, "output_tokens": 99}))
    assert rows()[0].input_tokens == 7


def test_what_the_provider_tells_goes_before_our_own_guess(book):
    call = record(1, end=End.CLIENT_LEFT, usage=UNKNOWN.at_least(input=5, output=900))
    book.pen.claim([claim_row("resp_1", book.people.alice.user_id, call_id=call.id)])
    book.ledger.settle(call)
    settled(1)
    book.ledger._complete(book.people.alice, "resp_1", from_object({"input_tokens": 7}, whole=False))
    assert rows()[0].usage_state == "estimated"
    book.ledger._complete(book.people.alice, "resp_1", USAGE)
    (row,) = rows()
    assert (row.end, row.usage_state, row.input_tokens, row.output_tokens) == ("client_left", "reported", 7, 8)


def test_usage_that_says_nothing_we_know_costs_nobody_knows_what(book):
    pending(book)
    book.ledger._complete(book.people.alice, "resp_1", from_object({"total_tokens": 9}))
    (row,) = rows()
    assert (row.usage_state, row.cost_nanos) == ("unknown", None)


@pytest.mark.parametrize(("who", "object_id"), [("bob", "resp_1"), ("alice", "resp_2")])
def test_nobody_else_and_no_other_object_completes_a_record(book, who, object_id):
    pending(book)
    book.ledger._complete(getattr(book.people, who), object_id, USAGE)
    assert rows()[0].end == "pending"


def test_a_database_that_is_away_leaves_a_record_pending(book):
    pending(book)
    with away(db.engine):
        book.ledger._complete(book.people.alice, "resp_1", USAGE)
    assert rows()[0].end == "pending"


def test_nothing_is_admitted_when_no_record_could_be_kept(book, monkeypatch):
    book.ledger.admit()
    book.ledger.settle(record(1))
    monkeypatch.setattr("app.services.pen.BACKLOG_MAX", 1)
    with pytest.raises(RelayError) as refused:
        book.ledger.admit()
    assert (refused.value.problem, refused.value.retry_after) == (Problem.OVERLOADED, 30)
