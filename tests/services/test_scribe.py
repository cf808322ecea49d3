"""What a scribe is told is what its worker knew."""

from datetime import UTC
from functools import reduce

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.batch import Batch
from app.services.scribe import Scribe, _decoder
from tests.services.writing import claim_row, parts, record

texts = st.text(st.characters(codec="utf-8"), max_size=20)
told = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


@given(at=st.datetimes(timezones=st.just(UTC)), price=st.dictionaries(texts, told, max_size=3), text=texts)
def test_a_batch_arrives_as_it_was(at, price, text):
    batch = Batch([claim_row(text, 1, created_at=at)], [record(1, price=price, reason=text), record(2)], again=True)
    assert _decoder.decode(msgspec.msgpack.encode(batch)) == batch


def test_a_record_is_told_whole():
    full = record(1, left_out=(("s:1", "cooling"),), cost=5, conversation="c", traceparent="t", upstream_model="u")
    (arrived,) = _decoder.decode(msgspec.msgpack.encode(Batch([], [full]))).notes
    assert arrived == full


def test_a_worker_that_can_have_no_scribe_writes_itself(monkeypatch):
    def refuses(_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    written = []
    monkeypatch.setattr("gevent.os.fork_and_watch", refuses)
    writer = parts(about_to_fork=lambda: None, write=lambda batch: written.append(batch) or True)
    scribe = Scribe(writer)
    scribe.start(lambda: None)
    assert scribe.write(Batch([], [record(1)]))
    assert len(written) == 1


@pytest.mark.parametrize("odd", [1 << 64, -(1 << 63) - 1, "\ud800", reduce(lambda inner, _: [inner], range(2000), 1)])
def test_what_the_line_takes_not_is_written_here(odd):
    """An upstream may tell any number, however deep inside."""
    written = []
    scribe = Scribe(parts(write=lambda batch: written.append(batch) or True))
    scribe._line = object()  # nobody may ask it
    batch = Batch([], [record(1, price={"odd": odd})])
    assert scribe.write(batch)
    assert written[0] is batch


def test_what_a_scribe_can_not_read_costs_it_nothing_but_that():
    here = []
    nothing = parts(about_to_fork=int, forked=int, write=lambda batch: here.append(batch.notes[0].id) or True)
    scribe = Scribe(nothing)
    scribe.start(int)
    assert scribe.write(Batch([], [record(1, total_ms="long")]))
    assert scribe.write(Batch([], [record(2)]))
    scribe._line.close()
    assert here == [record(1).id]
