"""What every kind of upstream has in common: addresses made of nothing but what was checked, and one judge."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.call import REGISTRY_ONLY, Call, Caller, Owned, Place, Target
from app.protocol.endpoints import BY_NAME, ENDPOINTS, Kind, ObjectKind
from app.protocol.envelope import parse
from app.protocol.errors import Problem
from app.upstreams import UPSTREAMS
from app.upstreams.base import RETRY_AFTER_MAX, join, judge, retry_after

CREATE, RETRIEVE = BY_NAME["responses.create"], BY_NAME["responses.retrieve"]
every_kind = pytest.mark.parametrize("kind", UPSTREAMS)


def place(kind="openai", base="https://api.example/v1", secret="sk-secret"):
    return Place(1, 2, kind, base, secret)


def a_call(endpoint, body=b'{"model":"m"}', **more):
    fields = {"id": "c", "request_id": "r", "caller": Caller(1, 1, "mark"), "model": "m"} | more
    return Call(endpoint=endpoint, body=parse(body) if body else None, **fields)


def error(code, kind="x"):
    return json.dumps({"error": {"code": code, "type": kind, "message": "key sk-…secret of org-x"}}).encode()


@every_kind
def test_every_adapter_serves_rows_of_the_table_and_stands_under_its_own_name(kind):
    adapter = UPSTREAMS[kind]
    assert adapter.kind == kind
    assert adapter.label
    assert adapter.served
    assert adapter.served <= set(BY_NAME)
    assert [e.name for e in ENDPOINTS if adapter.serves(e)] == [e.name for e in ENDPOINTS if e.name in adapter.served]


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if "<object_id>" in e.path], ids=lambda e: e.name)
@given(object_id=st.text(min_size=1, max_size=20), item_id=st.text(min_size=1, max_size=20))
def test_an_id_stays_one_segment_of_the_address_whatever_is_in_it(endpoint, object_id, item_id):
    owned = Owned(REGISTRY_ONLY, kind=ObjectKind.RESPONSE, object_id=object_id, place=place(), model="")
    outgoing = UPSTREAMS["openai"].prepare_object(a_call(endpoint, b"", item_id=item_id), owned)
    assert outgoing.url.startswith("https://api.example/v1/")
    assert outgoing.url.count("/") == endpoint.path.count("/") + 2
    assert not set(outgoing.url) & set("?#\\ \r\n")


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://a.example", "https://a.example/v1/responses"),
        ("https://a.example/v1", "https://a.example/v1/responses"),
        ("https://a.example/proxy/v1", "https://a.example/proxy/v1/responses"),
        ("https://a.example/proxy", "https://a.example/proxy/v1/responses"),
    ],
)
def test_a_base_url_may_or_may_not_end_in_v1(base, url):
    assert join(base, "/v1/responses") == url


def test_the_query_follows_the_address_as_it_came():
    outgoing = UPSTREAMS["openai"].prepare(a_call(CREATE, query="a=%2f&b[]=c"), Target(place()))
    assert outgoing.url == "https://api.example/v1/responses?a=%2f&b[]=c"


@every_kind
def test_the_credential_is_the_places_and_an_upstream_without_one_gets_none(kind):
    endpoint = BY_NAME["messages.create" if kind == "anthropic" else "responses.create"]
    call = a_call(endpoint, headers=(("accept", "x"),))
    with_key = dict(UPSTREAMS[kind].prepare(call, Target(place(kind))).headers)
    without = dict(UPSTREAMS[kind].prepare(call, Target(place(kind, secret=""))).headers)
    (name,) = set(with_key) - set(without)
    assert (name, with_key[name]) in {("authorization", "Bearer sk-secret"), ("x-api-key", "sk-secret")}
    assert without["accept"] == "x"


def test_only_the_registry_makes_an_owned_object():
    with pytest.raises(TypeError):
        Owned(object(), kind=ObjectKind.RESPONSE, object_id="x", place=place(), model="")


def test_a_place_never_shows_its_secret():
    assert "secret" not in repr(place())
    assert "secret" not in repr(Target(place()))


# -- what a status means ------------------------------------------------------------------------------------------
JUDGED = {
    200: None, 201: None, 204: None, 301: Problem.UPSTREAM, 307: Problem.UPSTREAM, 400: None,
    401: Problem.UPSTREAM, 402: Problem.UPSTREAM, 403: Problem.UPSTREAM, 404: None, 407: Problem.UPSTREAM,
    408: Problem.TIMEOUT, 409: None, 413: None, 422: None, 429: Problem.RATE_LIMITED, 451: None,
    500: Problem.UPSTREAM, 502: Problem.UPSTREAM, 503: Problem.OVERLOADED, 504: Problem.TIMEOUT,
    520: Problem.UPSTREAM, 529: Problem.OVERLOADED,
}  # fmt: skip


@pytest.mark.parametrize("status", JUDGED)
@pytest.mark.parametrize("endpoint", [CREATE, RETRIEVE, BY_NAME["messages.create"]], ids=lambda e: e.name)
def test_what_concerns_the_callers_request_passes_and_what_concerns_our_account_never_does(status, endpoint):
    told = judge(status, {}, error("some_code"), endpoint=endpoint)
    assert (told and told.problem) is JUDGED[status]
    if told is not None:
        assert "secret" not in told.message
        assert "org-x" not in told.message


@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("body", [b"", b"<html>", b'{"detail":"Not Found"}', b"[]", b"null"])
def test_an_endpoint_that_is_not_there_is_unsupported(status, body):
    told = judge(status, {}, body, endpoint=BY_NAME["responses.input_tokens"])
    assert told.problem is Problem.UNSUPPORTED


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached", "usage_limit_reached"])
@pytest.mark.parametrize("member", ["code", "type"])
def test_a_used_up_account_is_overloaded_not_the_callers_rate(code, member):
    body = json.dumps({"error": {member: code}}).encode()
    assert judge(429, {"retry-after": "5"}, body, endpoint=CREATE).problem is Problem.OVERLOADED


@pytest.mark.parametrize(
    "body", [b"", b"x", b"[]", b'{"error":"busy"}', b'{"error":null}', b'{"error":{}}', b"[" * 99999]
)
def test_a_429_of_any_form_is_a_rate_limit_with_a_time_to_wait(body):
    told = judge(429, {}, body, endpoint=CREATE)
    assert (told.problem, told.retry_after) == (Problem.RATE_LIMITED, 1)


@given(st.integers(300, 999), st.binary(max_size=40))
def test_any_status_and_body_are_judged(status, body):
    for endpoint in (CREATE, RETRIEVE):
        told = judge(status, {}, body, endpoint=endpoint)
        assert told is None or told.problem.value.status >= 429 or status in {404, 405}
        assert (
            endpoint.kind is not Kind.OBJECT
            or told is None
            or told.problem is not Problem.UNSUPPORTED
            or status in {404, 405, 501}
        )


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "1.2"}, 2),
        ({"retry-after-ms": "1500"}, 2),
        ({"retry-after-ms": "1500", "retry-after": "60"}, 2),
        ({"retry-after-ms": "x", "retry-after": "60"}, 60),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, 1000),
        ({"retry-after": str(RETRY_AFTER_MAX + 1)}, None),
    ],
)
def test_an_upstreams_wish_to_wait_counts_where_it_makes_sense(headers, seconds):
    assert retry_after(headers) == seconds


@every_kind
@pytest.mark.parametrize(
    ("body", "models"),
    [
        (b'{"data":[{"id":"b"},{"id":"a"},{"id":"b"}]}', ["a", "b"]),
        (b'{"data":[]}', []),
        (b'{"data":[{"id":5},{"id":"a"}]}', ["a"]),
    ],
)
def test_a_list_of_models_is_read(kind, body, models):
    assert UPSTREAMS[kind].listed(body) == models


@every_kind
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"data":5}', b'{"data":[5]}', b'{"data":[{}]}', b"null"]
)
def test_what_is_no_list_of_models_is_said_to_be_none(kind, body):
    with pytest.raises(ValueError, match="not a list of models"):
        UPSTREAMS[kind].listed(body)
