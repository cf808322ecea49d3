"""What a scribe is told is what its worker knew."""

from datetime import UTC

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from app.services.batch import Batch
from app.services.scribe import _decoder
from tests.services.writing import claim_row, record

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
