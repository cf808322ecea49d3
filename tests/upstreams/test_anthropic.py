"""How a call is put to an Anthropic-compatible upstream."""

import pytest

from app.protocol.call import Place, Target
from app.protocol.endpoints import BY_NAME, ENDPOINTS, Protocol
from app.upstreams.anthropic import VERSION, Anthropic
from tests.upstreams.test_base import a_call

PLACE = Place(1, 2, "anthropic", "https://api.anthropic.example", "sk-ant")
CREATE = BY_NAME["messages.create"]


def prepared(model="", **more):
    return Anthropic().prepare(a_call(CREATE, b'{"max_tokens":5,"model":"m"}', **more), Target(PLACE, model))


def test_it_serves_messages_and_no_openai_endpoint():
    assert Anthropic.served == {e.name for e in ENDPOINTS if e.protocol is Protocol.ANTHROPIC}


def test_the_key_goes_as_x_api_key():
    headers = dict(prepared().headers)
    assert headers["x-api-key"] == "sk-ant"
    assert "authorization" not in headers


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", "x"])
def test_the_callers_version_passes_as_it_came(version):
    names = [
        pair for pair in prepared(headers=(("anthropic-version", version),)).headers if pair[0].endswith("version")
    ]
    assert names == [("anthropic-version", version)]


def test_a_caller_without_a_version_gets_the_default():
    assert dict(prepared().headers)["anthropic-version"] == VERSION == "2023-06-01"


def test_the_query_and_the_body_pass_and_a_route_renames():
    outgoing = prepared(query="beta=true")
    assert outgoing.url == "https://api.anthropic.example/v1/messages?beta=true"
    assert outgoing.body == b'{"max_tokens":5,"model":"m"}'
    assert prepared(model="theirs").body == b'{"max_tokens":5,"model":"theirs"}'


def test_the_list_of_models_is_asked_for_in_one_page():
    url, headers = Anthropic().list_request(Place(1, 2, "anthropic", "https://a.example", "k"))
    assert url == "https://a.example/v1/models?limit=1000"
    assert headers == {"x-api-key": "k", "anthropic-version": VERSION}
