"""A body is taken apart at its top level alone: what isn't replaced keeps its bytes, and no name stands twice."""

import json
from time import thread_time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.envelope import parse
from app.protocol.errors import Problem, RelayError

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4))
space = st.text(" \t\r\n", max_size=3)


def least_s(work):
    """Return how much processor time a piece of work takes: the least of three, for a busy machine only ever adds."""
    times = []
    for _ in range(3):
        since = thread_time()
        work()
        times.append(thread_time() - since)
    return min(times)


@st.composite
def spelled(draw, members):
    """An object's bytes, its members in the order given, with any space and escapes that JSON allows."""
    ascii_only = draw(st.booleans())
    parts = []
    for name, value in members:
        key = "".join(
            f"\\u{ord(c):04x}" if ord(c) < 0x10000 and draw(st.booleans()) else json.dumps(c)[1:-1] for c in name
        )
        text = json.dumps(value, ensure_ascii=ascii_only)
        parts.append(f'{draw(space)}"{key}"{draw(space)}:{draw(space)}{text}{draw(space)}')
    return f"{draw(space)}{{{','.join(parts) or draw(space)}}}{draw(space)}".encode()


objects = st.dictionaries(names, values, max_size=6)
bodies = objects.flatmap(lambda members: st.tuples(st.just(members), spelled(list(members.items()))))


@given(bodies)
def test_any_object_is_read_and_its_bytes_stay(body):
    members, raw = body
    envelope = parse(raw)
    assert envelope.body == raw
    for name, value in members.items():
        assert name in envelope
        assert json.loads(envelope.raw(name)) == value
        assert envelope.raw(name) in raw


@given(bodies, names, values)
def test_a_change_of_one_member_leaves_the_bytes_and_the_order_of_all_others(body, name, value):
    members, raw = body
    before = parse(raw)
    after = parse(before.with_members({name: json.dumps(value).encode()}).body)
    assert list(json.loads(after.body)) == list(members | {name: value})
    assert json.loads(after.raw(name)) == value
    for other in members:
        if other != name:
            assert after.raw(other) == before.raw(other)
    assert before.body == raw


@pytest.mark.acceptance("F-11")
@given(bodies, st.data())
def test_a_name_that_stands_twice_is_refused_however_it_is_spelled(body, data):
    members, _ = body
    name = data.draw(st.sampled_from(sorted(members)) if members else names)
    pairs = [
        *members.items(),
        (name, data.draw(st.sampled_from([members.get(name), 0, "x", {"a": [1, {}]}, [], None]))),
    ]
    if not members:
        pairs *= 2
    raw = data.draw(spelled(data.draw(st.permutations(pairs))))
    with pytest.raises(RelayError) as refused:
        parse(raw)
    assert refused.value.problem is Problem.INVALID_JSON


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_the_clients_error(raw):
    try:
        parse(raw)
    except RelayError as error:
        assert error.problem is Problem.INVALID_JSON
    else:
        assert isinstance(json.loads(raw), dict)


@pytest.mark.parametrize("raw", [b'{"\xff":1}', b'{"a":"\xff"}', b'{"a":{"\xff":1}}'])
def test_what_is_no_text_is_refused(raw):
    with pytest.raises(RelayError, match="UTF-8"):
        parse(raw)


@given(values.filter(lambda value: not isinstance(value, dict)))
def test_whatever_is_no_object_is_refused(value):
    with pytest.raises(RelayError):
        parse(json.dumps(value).encode())


@pytest.mark.parametrize(
    "raw",
    [
        rb'{"a":1,"a":1}',
        rb'{"a":1,"\u0061":1}',
        rb'{"a":"x\"},{\"a\":1","b":2,"a":3}',
        rb'{"a":{"a":1},"a":{"a":1}}',
        rb'{"a":12,"a":1}',
        rb'{"a":1,"a":12}',
        rb'{"\"":1,"\u0022":2}',
        rb'{"\\":1,"\u005c":2}',
        '{"é":1,"\\u00e9":1}'.encode(),
        b'{"a":1 , "a" : 1}',
        b'{"":1,"":1}',
    ],
)
def test_known_spellings_of_a_repeat_are_refused(raw):
    with pytest.raises(RelayError, match="twice"):
        parse(raw)


@pytest.mark.parametrize(
    "raw", [rb'{"a":{"b":1,"b":2}}', rb'{"a\"b":1,"a\\b":2}', b'{"a":"a","b":"a"}', b'{"A":1,"a":2}', b"{}", b" { } "]
)
def test_what_only_looks_like_a_repeat_passes(raw):
    assert parse(raw).body == raw


@pytest.mark.parametrize(("raw", "flag"), [(b"true", True), (b"false", False), (b"null", None)])
def test_a_flag_is_true_false_or_unsaid(raw, flag):
    assert parse(b'{"x":%b}' % raw).flag("x") is flag
    assert parse(b"{}").flag("x") is None


@pytest.mark.parametrize("raw", [b'"true"', b"1", b"0", b"[]", b"{}", b'"x' + b"y" * 9999 + b'"', b"1.0"])
def test_a_flag_of_another_type_is_named(raw):
    with pytest.raises(RelayError) as refused:
        parse(b'{"stream":%b}' % raw).flag("stream")
    assert (refused.value.problem, refused.value.param) == (Problem.INVALID_TYPE, "stream")


@pytest.mark.parametrize("raw", [b"1", b"true", b"[]", b"{}"])
def test_a_text_of_another_type_is_named(raw):
    with pytest.raises(RelayError) as refused:
        parse(b'{"model":%b}' % raw).text("model")
    assert (refused.value.problem, refused.value.param) == (Problem.INVALID_TYPE, "model")


def test_numbers_beyond_64_bits_and_the_spelling_of_floats_survive():
    raw = b'{"model":"a","n":123456789012345678901234567890,"f":1.10,"e":1E+2,"z":-0.0}'
    changed = parse(raw).with_members({"model": b'"b"'}).body
    assert changed == raw.replace(b'"a"', b'"b"')


def test_a_member_too_deep_to_be_read_is_the_clients_error():
    envelope = parse(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}")
    try:
        envelope.get("a")
    except RelayError as error:
        assert error.problem is Problem.INVALID_JSON


@pytest.mark.acceptance("F-10")
def test_a_large_body_is_read_in_time_that_follows_its_size():
    """Walking from member to member costs by the member, never by the byte."""
    large = json.dumps({"model": "x", "input": "y" * 12_000_000}).encode()
    assert least_s(lambda: parse(large)) < 50 * least_s(lambda: msgspec.json.decode(large))


STRANGE = {
    "space": lambda size: b'{"model": "x",' + b" " * size + b'"input":"y"}',
    "escaped quotes in a name": lambda size: b'{"model": "x","' + rb"\"" * (size // 2) + b'":1}',
    "backslashes in a name": lambda size: b'{"model": "x","' + rb"\\" * (size // 2) + b'":1}',
}


@pytest.mark.acceptance("F-10")
@pytest.mark.parametrize("body", STRANGE.values(), ids=STRANGE)
def test_a_body_of_much_space_or_of_a_strange_name_is_read_as_quickly(body):
    """All other calls of the worker wait meanwhile; byte by byte it would take hundreds of times as long."""
    strange, ordinary = body(12_000_000), b'{"model":"x","input":"%b"}' % (b"y" * 12_000_000)
    assert least_s(lambda: parse(strange)) < 150 * least_s(lambda: parse(ordinary))


def test_a_body_of_more_members_than_any_has_is_refused():
    most = {str(n): n for n in range(1000)}
    assert parse(json.dumps(most).encode()).size
    many = json.dumps({str(n): n for n in range(300_000)}).encode()
    with pytest.raises(RelayError, match="members") as refused:
        parse(many)
    assert refused.value.problem is Problem.INVALID_JSON


def test_the_decoder_keeps_raw_members_as_the_reader_of_repeats_expects():
    """`parse` relies on this: values come without the space around them, and the last of two stays."""
    members = msgspec.json.decode(b'{"a" : 1 , "a":\t[2 ] }', type=dict[str, msgspec.Raw])
    assert bytes(members["a"]) == b"[2 ]"
