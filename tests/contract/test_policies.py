"""What an operator wants otherwise at an upstream, as calls and the provider see it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services import policies
from tests.contract.pairs import ALONE, MODEL, asked, open_pairs, plan
from tests.faults.clients import CHAT, RESPONSES, call


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    with open_pairs(tmp_path_factory.mktemp("policies"), provider) as running:
        yield running


@pytest.fixture
def wanted(house):
    """Gives the bad upstream, which is asked first, a policy; takes it away afterwards."""
    upstream_id = house.upstreams["bad openai"]

    def save(text):
        house.changed(lambda: policies.save(upstream_id, text, actor=None))

    yield save
    save("")


def test_what_is_to_be_stored_goes_where_it_is_kept(house, sim, wanted):
    wanted('{"store": false}')
    since = sim.count()
    assert call(house, RESPONSES, model=MODEL, stream=False).status == 200
    assert call(house, RESPONSES, model=MODEL, stream=False, store=False).status == 200
    assert asked(sim, since) == ["good", "bad"]


@pytest.mark.parametrize("stream", [True, False])
def test_where_nothing_is_kept_nothing_is_owned(house, sim, wanted, stream):
    wanted('{"store": false}')
    before = house.rows("SELECT count(*) AS n FROM owned_objects")
    assert call(house, RESPONSES, model=ALONE, stream=stream).status == 200
    assert call(house, CHAT, model=ALONE, stream=stream, store=True).status == 200
    assert house.rows("SELECT count(*) AS n FROM owned_objects") == before
    bodies = [request["body"] for request in sim.requests(sim.count() - 2)]
    assert '"store":false' in bodies[0].replace(" ", "")
    assert "store" not in bodies[1]
    assert "realms_owner" not in bodies[1]


def test_an_endpoint_that_is_not_offered_is_asked_for_elsewhere(house, sim, wanted):
    wanted('{"endpoints": ["responses.create"]}')
    since = sim.count()
    assert call(house, CHAT, model=MODEL).status == 200
    assert call(house, CHAT, model=ALONE).status == 404
    assert asked(sim, since) == ["good"]


def test_more_calls_than_an_upstream_takes_go_elsewhere(house, sim, wanted):
    wanted('{"max_concurrent": 2}')
    plan(sim, "ttfb=0.5")
    since = sim.count()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: call(house, CHAT, model=MODEL), range(6)))
    assert {got.status for got in answers} == {200}
    paths = [request["path"].split("/")[1] for request in sim.requests(since)]
    assert (paths.count("bad"), paths.count("good")) == (2, 4)


def test_an_upstreams_own_limit_of_time_counts(house, sim, wanted):
    wanted('{"first_byte_s": 0.3}')
    plan(sim, "fault=hang_accept")
    since = sim.count()
    assert call(house, CHAT, model=MODEL).status == 200
    assert asked(sim, since) == ["bad", "good"]
