"""Workers that count together begin together: what any of them has under way is in the count, once."""

from contextlib import nullcontext

import gevent
import msgspec
import pytest

from app.protocol.limit import ALWAYS, Measure, Rule
from app.services import chunks
from app.services.counters import Beginning, Begun, Brought, Count, Full
from app.services.shared_beginnings import ANSWER_S, BEGINS
from app.services.shared_counters import LEASES, SharedCounters
from tests.live import until
from tests.services.test_shared_counters import client  # noqa: F401 - a fixture
from tests.services.writing import at_once

RULE = Rule("user", 1, Measure.TOTAL, 1000)
BEGUN = Begun(RULE, "k", ALWAYS)


def want(amount=10, spent=100):
    return Count(RULE, "k", ALWAYS, Beginning(BEGUN, lambda: spent)), amount


class Calls:
    """What one worker has under way."""

    def __init__(self, ended=0, **running):
        self.ended, self.running, self.found = ended, running, 0

    def still(self):
        return nullcontext()

    def refresh(self):
        self.found += 1

    def tokens(self, _begun):
        return ()

    def bring_in(self, begun, _tokens, *, ended=True):
        running, self.running = self.running, {}
        held = [(call_id, (Count(begun.rule, begun.key, begun.span), amount)) for call_id, amount in running.items()]
        return Brought(self.ended if ended else 0, held)


@pytest.fixture
def hire(client, monkeypatch):  # noqa: F811
    """Workers that hear one another at once: waiting for a socket would let nobody else run here."""
    workers, heard = [], []

    def publish(_channel, question):
        told = msgspec.json.decode(question, type=tuple[str, Begun])
        heard.extend(gevent.spawn(worker._beginnings._bring_in, *told) for worker in workers)
        return len(workers)

    def worker(calls):
        counters = SharedCounters(client, share=2)
        counters._beginnings.calls = calls
        counters._listening = True
        monkeypatch.setattr(chunks, "CALLS", 0)  # so that numbers are what calls hold
        workers.append(counters)
        return counters

    monkeypatch.setattr(client, "publish", publish)
    yield worker
    gevent.joinall(heard, timeout=10)


def number(client):  # noqa: F811
    return int(client.get("realms:limit:k"))


def test_what_runs_or_has_just_ended_anywhere_is_counted_before_anybody_is_admitted(hire, client):  # noqa: F811
    one, other = hire(Calls(5, a=20)), hire(Calls(7, b=30, c=40))
    assert one.take("mine", [want()])[0] == 100 + 5 + 20 + 7 + 30 + 40 + 10
    assert not client.exists(BEGINS + "realms:limit:k")
    other.give("b", [(want(30), 1)])
    other.give("c", [(want(40), 2)])
    one.give("a", [(want(20), 3)])
    for worker in (one, other):
        worker._givings.give_back()
    assert number(client) == 100 + 5 + 7 + 1 + 2 + 3 + 10
    assert client.zrange(LEASES, 0, -1) == ["mine"]


def test_calls_that_end_while_the_sums_are_asked_count_with_what_they_cost(hire, client):  # noqa: F811
    one, other = hire(Calls()), hire(Calls(b=30))

    def spent():
        other.give("b", [(want(30), 4)])
        other._givings.give_back()
        return 100

    one.take("mine", [(Count(RULE, "k", ALWAYS, Beginning(BEGUN, spent)), 10)])
    assert number(client) == 100 + 4 + 10


def test_one_begins_where_several_want_to(hire, client):  # noqa: F811
    workers = [hire(Calls(a=400)), hire(Calls(b=400))]
    told = at_once(*[lambda n=n: workers[n % 2].take(f"call-{n}", [want(30)]) for n in range(20)])
    assert len([each for each in told if isinstance(each, Full)]) == 20 - 3
    assert number(client) == 100 + 800 + 3 * 30


def test_a_refused_call_begins_the_count_as_well(hire, client):  # noqa: F811
    one = hire(Calls(a=900))
    with pytest.raises(Full) as full:
        one.take("mine", [want()])
    assert (full.value.used, number(client)) == (1000, 1000)


def test_who_does_not_answer_in_time_brings_its_calls_in_later(hire, client):  # noqa: F811
    one, other = hire(Calls()), hire(Calls(b=30))
    other._beginnings.calls.refresh = lambda: gevent.sleep(ANSWER_S + 0.5)
    assert one.take("mine", [want()])[0] == 110
    until(lambda: gevent.sleep(0.01) or number(client) == 140, every=0)
