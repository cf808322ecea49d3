"""The table of endpoints says nothing that contradicts itself."""

import re

import pytest

from app.protocol.endpoints import BY_NAME, ENDPOINTS, Kind, ObjectKind, Protocol, Shape

every = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)


def test_names_and_addresses_are_each_given_once():
    assert len(BY_NAME) == len(ENDPOINTS)
    assert len({(e.method, e.path) for e in ENDPOINTS}) == len(ENDPOINTS)


@every
def test_a_path_with_an_id_is_a_call_on_an_owned_object_and_no_other_is(endpoint):
    variables = re.findall("<([^>]+)>", endpoint.path)
    assert variables in ([], ["object_id"], ["object_id", "item_id"])
    assert bool(variables) == (endpoint.kind is Kind.OBJECT)
    assert not variables or endpoint.object is not None


@every
def test_only_creates_and_tools_are_metered_and_have_a_model(endpoint):
    assert endpoint.metered == endpoint.needs_model
    assert not endpoint.needs_model or endpoint.kind in {Kind.CREATE, Kind.TOOL}
    assert endpoint.takes_body == (endpoint.method == "POST")


@every
def test_an_object_ends_its_life_by_a_delete_on_itself_alone(endpoint):
    on_itself = endpoint.method == "DELETE" and endpoint.path.endswith("<object_id>")
    assert endpoint.deletes == on_itself


@every
def test_the_protocol_of_a_path_is_that_of_its_errors(endpoint):
    assert (endpoint.protocol is Protocol.ANTHROPIC) == endpoint.path.startswith("/v1/messages")
    assert endpoint.path.startswith("/v1/")


@pytest.mark.parametrize("kind", [kind for kind in ObjectKind if kind is not ObjectKind.ITEM])
def test_every_kind_of_object_is_made_read_and_deleted_somewhere(kind):
    rows = [endpoint for endpoint in ENDPOINTS if endpoint.object is kind]
    assert any(e.kind is Kind.CREATE for e in rows)
    assert any(e.deletes for e in rows)
    assert any(e.method == "GET" and e.path.endswith("<object_id>") for e in rows)


@every
def test_what_can_be_streamed_has_a_shape(endpoint):
    streams = endpoint.kind is Kind.CREATE and endpoint.needs_model
    assert not streams or endpoint.shape is not Shape.OTHER
