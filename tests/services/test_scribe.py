"""What a scribe is told is what its worker knew."""

from datetime import UTC
from functools import reduce

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.record import line_of, read_all
from app.protocol.usage import Usage
from app.services.batch import Batch
from app.services.scribe import Scribe, _decoder
from tests.services.writing import claim_row, parts, record

texts = st.text(st.characters(codec="utf-8"), max_size=20)
told = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


@given(at=st.datetimes(timezones=st.just(UTC)), price=st.dictionaries(texts, told, max_size=3), text=texts)
def test_a_batch_arrives_as_it_was(at, price, text):
    records = [record(1, price=price, reason=text), record(2)]
    batch = Batch([claim_row(text, 1, created_at=at)], b"".join(map(line_of, records)), again=True)
    arrived = _decoder.decode(msgspec.msgpack.encode(batch))
    assert arrived == batch
    assert read_all(arrived.notes) == records


def test_a_record_is_told_whole():
    full = record(1, left_out=(("s:1", "cooling"),), cost=5, conversation="c", traceparent="t", upstream_model="u")
    assert read_all(line_of(full)) == [full]


def test_usage_that_is_nested_deeper_than_anybody_writes_is_counted_without_its_own_object():
    deep = record(1, usage=Usage(input=3, output=4, raw=reduce(lambda inner, _: [inner], range(5000), 1)))
    assert read_all(line_of(deep)) == [record(1, usage=Usage(input=3, output=4))]


def test_a_worker_that_can_have_no_scribe_writes_itself(monkeypatch):
    def refuses(_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    written = []
    monkeypatch.setattr("gevent.os.fork_and_watch", refuses)
    writer = parts(about_to_fork=lambda: None, write=lambda batch: written.append(batch) or True)
    scribe = Scribe(writer)
    scribe.start(lambda: None)
    assert scribe.write(Batch([], line_of(record(1))))
    assert len(written) == 1


def test_what_a_scribe_can_not_read_costs_it_nothing_but_that():
    here = []
    nothing = parts(about_to_fork=int, forked=int, leaves=int, write=lambda batch: here.append(batch.notes) or True)
    scribe = Scribe(nothing)
    scribe.start(int)
    assert scribe.write(Batch("no list", b"first"))
    assert scribe.write(Batch([], b"second"))
    scribe._line.close()
    assert here == [b"first"]
