"""Ids: ours sort by time, theirs have a shape, and a path is never made of anything else."""

import re
from time import sleep
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.ids import call_id, is_object_id, is_revealed_id, wanted_request_id

REAL = [
    "resp_68a1f2c3d4e5f60718293a4b5c6d7e8f9012345678901234",
    "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    "conv_689667905b048191b4740501625afd940c7533ace33a2dab",
    "msg_68a1f2c3d4e5f60718293a4b5c6d7e8f9012345678901234",
    "resp_" + "A-_=" * 118,
    "8a5f3c1e-0b1d-4c6e-9c65-0d3c1d6a4b1f",
    "resp:1.2~3+4",
    "123",
]


@pytest.mark.parametrize("value", REAL)
def test_ids_as_they_are_known_pass(value):
    assert is_object_id(value)
    assert is_revealed_id(value)


@pytest.mark.acceptance("B-15")
@pytest.mark.parametrize(
    "value",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a..b",
        "a\\b",
        "a?b",
        "a#b",
        "a%2fb",
        "a b",
        "a\n",
        "\na",
        "a\0",
        "é",
        "_a",
        "-a",
        "=a",
        "x" * 513,
    ],
)
def test_what_could_change_a_path_is_no_id(value):
    assert not is_object_id(value)


@given(st.text(max_size=30))
def test_an_id_is_a_path_segment_as_it_is(value):
    if is_object_id(value):
        assert quote(value, safe="=:+~") == value
        assert value not in {".", ".."}


@pytest.mark.parametrize("value", ["", None, 5, ["x"], {}, "x" * 513, "a\n", "é", True])
def test_what_cannot_be_kept_is_not_revealed(value):
    assert not is_revealed_id(value)


def test_call_ids_are_new_each_time_and_sort_by_time():
    first = call_id()
    sleep(0.002)
    second = call_id()
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first < second
    assert len({call_id() for _ in range(1000)}) == 1000


@pytest.mark.parametrize("wanted", ["a", "A.b_c-1", "x" * 64])
def test_a_clients_request_id_is_taken_where_it_can_be_one(wanted):
    assert wanted_request_id(wanted) == wanted


@pytest.mark.parametrize("wanted", ["", "x" * 65, "a b", "a\n", "a,b", "é", "a/b", "<b>"])
def test_any_other_is_replaced_by_ours(wanted):
    assert wanted_request_id(wanted) == ""
