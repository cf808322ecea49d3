"""A policy is read strictly: what can't be meant is told when it is saved, not when a call fails."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.policy import USUAL, Policy, read

GOOD = {
    "endpoints": ["chat.create"], "auth": "api-key", "query": "api-version=preview", "store": False,
    "connect_s": 2, "first_byte_s": 20, "idle_s": 5.5, "total_s": 900, "max_concurrent": 3, "service_tiers": ["default"], "effort_suffix": True,
    "instructions": "be brief", "proxy": "socks5://proxy.example:1080", "allow_headers": ["X-Trace-Id"],
    "set_headers": {"x-title": "Realms"}, "drop": ["user", "reasoning.summary"], "set": {"reasoning.effort": "high"},
}  # fmt: skip


def test_every_wish_is_read():
    policy = read(json.dumps(GOOD))
    assert (policy.endpoints, policy.store, policy.set) == (("chat.create",), False, {"reasoning.effort": "high"})


@pytest.mark.parametrize("text", ["", "{}", b"{}"])
def test_nothing_is_as_usual(text):
    assert read(text) == USUAL == Policy()


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": ["chat.create"]},
        {"endpoints": ["chat.creat"]},
        {"auth": "basic"},
        {"query": "?api-version=1"},
        {"query": "a b"},
        {"first_byte_s": -1},
        {"connect_s": 0},
        {"idle_s": "5"},
        {"total_s": True},
        {"max_concurrent": -1},
        {"max_concurrent": "many"},
        {"set_headers": {"Authorization": "Bearer x"}},
        {"set_headers": {"x-api-key": "x"}},
        {"set_headers": {"X-Forwarded-For": "1.2.3.4"}},
        {"set_headers": {"x-a": "b\r\nx-c: d"}},
        {"set_headers": {"x a": "b"}},
        {"proxy": "proxy.example"},
        {"proxy": "http://user:x@proxy.example:1"},
        {"allow_headers": ["x a"]},
        {"allow_headers": [""]},
        {"drop": ["model"]},
        {"drop": [""]},
        {"drop": ["a..b"]},
        {"set": {"stream": False}},
        {"set": {"store.x": 1}},
        {"set": {"a.b.c.d.e.f": 1}},
        [],
        5,
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(wrong):
    with pytest.raises(ValueError, match=r"\w"):
        read(json.dumps(wrong))


@pytest.mark.parametrize("endless", ["1e999", "NaN", "Infinity"])
def test_a_time_has_an_end(endless):
    with pytest.raises(ValueError, match=r"\w"):
        read(f'{{"total_s": {endless}}}')


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        read(text)
    except ValueError as error:
        assert str(error)
