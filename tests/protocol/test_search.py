"""Words are found from a block's end as they are from its beginning."""

from hypothesis import example, given
from hypothesis import strategies as st

from app.protocol.search import first, holds

blocks = st.lists(st.sampled_from([b"ab", b"a", b"b", b'"error"', b"[DONE]", b"\n\n"]), max_size=12).map(b"".join)
words = st.sampled_from([b"ab", b"aba", b'"error"', b"[DONE]", b"\n\n", b"\n"])


@given(blocks, words, st.integers(0, 40))
@example(b"abab", b"ab", 1)
@example(b"aaaa", b"aa", 0)
@example(b"ababa", b"aba", 0)
def test_as_find_does(block, word, at):
    assert first(block, word, at) == block.find(word, at)
    assert holds(block, word) is (word in block)
