"""What isn't on a list stays on its side, however it is spelled."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import headers, policy
from app.protocol.headers import (
    TO_CLIENT,
    TO_UPSTREAM,
    TO_UPSTREAM_PREFIXES,
    may_be_let_through,
    to_client,
    to_upstream,
)

names = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", min_size=1, max_size=20)
SECRET = [
    "HTTP_AUTHORIZATION",
    "HTTP_X_API_KEY",
    "HTTP_COOKIE",
    "HTTP_HOST",
    "HTTP_CONNECTION",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_CONTENT_LENGTH",
    "HTTP_ACCEPT_ENCODING",
    "HTTP_EXPECT",
    "HTTP_OPENAI_ORGANIZATION",
    "HTTP_OPENAI_PROJECT",
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_REAL_IP",
    "HTTP_PROXY_AUTHORIZATION",
    "HTTP_PROXY",
    "HTTP_X_REQUEST_ID",
    "CONTENT_LENGTH",
    "SERVER_NAME",
    "REMOTE_ADDR",
    "wsgi.input",
    "gunicorn.socket",
    "CONTENT_ENCODING",
    "HTTP_X_STAINLESS",
    "HTTP_XX_CODEX_A",
]


@given(st.dictionaries(names.map("HTTP_".__add__), st.text(max_size=5), max_size=10))
def test_only_named_headers_travel_on(environ):
    for name, value in to_upstream(environ):
        assert name in TO_UPSTREAM or name.startswith(TO_UPSTREAM_PREFIXES)
        assert value == environ["HTTP_" + name.upper().replace("-", "_")]


@pytest.mark.parametrize("key", SECRET)
def test_what_is_secret_or_of_the_connection_stays(key):
    assert to_upstream({key: "x"}) == []


@pytest.mark.parametrize(
    "name", sorted(TO_UPSTREAM - {"content-type"}) + [f"{p}anything" for p in TO_UPSTREAM_PREFIXES]
)
def test_what_is_named_travels_on_unchanged(name):
    assert to_upstream({"HTTP_" + name.upper().replace("-", "_"): "Va lue;é"}) == [(name, "Va lue;é")]


def test_the_content_type_is_where_wsgi_puts_it_and_an_empty_header_is_none():
    assert to_upstream({"CONTENT_TYPE": "application/json", "HTTP_ACCEPT": ""}) == [
        ("content-type", "application/json")
    ]


def test_many_odd_names_are_not_remembered_for_ever():
    to_upstream({f"HTTP_ODD_{n}": "x" for n in range(5000)})
    to_upstream({f"HTTP_X_CODEX_ODD_{n}": "x" for n in range(5000)})
    assert len(headers._judged) <= headers._JUDGED_MAX + headers._PASSING_MAX
    assert len(headers._passing) <= headers._PASSING_MAX
    assert to_upstream({"HTTP_ODD_4999": "x", "HTTP_X_CODEX_NEW_ONE": "y"}) == [("x-codex-new-one", "y")]


@given(st.lists(st.tuples(st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20), st.text(max_size=5))))
def test_only_named_headers_come_back(told):
    assert {name for name, _ in to_client(told)} <= TO_CLIENT


def test_headers_come_back_in_order_and_unchanged():
    told = [("x-should-retry", "false"), ("set-cookie", "a"), ("content-type", "text/plain"), ("retry-after", "3")]
    assert to_client(told) == [told[0], told[2], told[3]]


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "Authorization", "proxy-authorization", "x-authorization", "x-auth", "x-api-key", "api-key",
        "x-goog-api-key", "x-amz-security-token", "x-secret", "cookie", "cookie2", "set-cookie", "host", "connection",
        "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "http2-settings", "proxy-connection",
        "content-length", "content-encoding", "accept-encoding", "range", "via", "forwarded", "x-forwarded-for",
        "x-forwarded-host", "x-forwarded-anything", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-original-url",
        "x-rewrite-url", "x-http-method-override", "origin", "referer", "sec-fetch-site", "openai-organization",
        "OpenAI-Project", "chatgpt-account-id", "", " ", "x a", "x_trace", "x:y", "x\r\ny", "x-trace\n", "-x", "x-", "*",
        "x-*", "x" * 101, "x-trâce", "\u212aey", "x\0y",
    ],
)  # fmt: skip
def test_no_policy_lets_a_key_a_whereabouts_or_the_transports_own_through(name):
    assert not may_be_let_through(name)
    with pytest.raises(ValueError, match="allow_headers"):
        policy.read(json.dumps({"allow_headers": ["x-trace-id", name]}))


@pytest.mark.parametrize("name", ["x-trace-id", "X-Trace-Id", "accept-language", "traceparent", "x-title", "x"])
def test_others_can_be_let_through(name):
    assert policy.read(json.dumps({"allow_headers": [name]})).allow_headers == (name,)


def test_what_can_be_let_through_is_taken_by_its_name_alone():
    environ = {"HTTP_X_TRACE_ID": "t", "HTTP_X_EMPTY": "", "HTTP_X_OTHER": "o", "x-trace-id": "no"}
    assert headers.offered(environ, ["x-trace-id", "x-empty", "x-missing"]) == (("x-trace-id", "t"),)
