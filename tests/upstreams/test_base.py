"""What every kind of upstream has in common: addresses made of nothing but what was checked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.call import REGISTRY_ONLY, Call, Caller, Owned, Place, Target
from app.protocol.endpoints import BY_NAME, ENDPOINTS, ObjectKind
from app.protocol.envelope import parse
from app.upstreams import UPSTREAMS
from app.upstreams.base import join

CREATE = BY_NAME["responses.create"]
every_kind = pytest.mark.parametrize("kind", UPSTREAMS)
with_keys = pytest.mark.parametrize("kind", [kind for kind, adapter in UPSTREAMS.items() if not adapter.signs_in])


def place(kind="openai", base="https://api.example/v1", secret="sk-secret"):
    return Place(1, 2, kind, base, secret)


def a_call(endpoint, body=b'{"model":"m"}', **more):
    fields = {"id": "c", "request_id": "r", "caller": Caller(1, 1, "mark"), "model": "m"} | more
    return Call(endpoint=endpoint, body=parse(body) if body else None, **fields)


@every_kind
def test_every_adapter_serves_rows_of_the_table_and_stands_under_its_own_name(kind):
    adapter = UPSTREAMS[kind]
    assert adapter.kind == kind
    assert adapter.label
    assert adapter.served
    assert adapter.served <= set(BY_NAME)
    assert [e.name for e in ENDPOINTS if adapter.serves(e)] == [e.name for e in ENDPOINTS if e.name in adapter.served]


@pytest.mark.acceptance("B-15")
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


@with_keys
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


@pytest.mark.acceptance("I-8")
def test_a_place_never_shows_its_secret():
    assert "secret" not in repr(place())
    assert "secret" not in repr(Target(place()))


@with_keys
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


@with_keys
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"data":5}', b'{"data":[5]}', b'{"data":[{}]}', b"null"]
)
def test_what_is_no_list_of_models_is_said_to_be_none(kind, body):
    with pytest.raises(ValueError, match="not a list of models"):
        UPSTREAMS[kind].listed(body)
