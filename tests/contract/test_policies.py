"""What an operator wants otherwise at an upstream, as calls and the provider see it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.services import policies
from tests.contract.pairs import ALONE, MODEL, asked, model_of, open_pairs, plan
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, call
from tests.live import until
from tests.proxying import proxy


@pytest.fixture(scope="module")
def house(provider, tmp_path_factory):
    with open_pairs(tmp_path_factory.mktemp("policies"), provider) as running:
        yield running


@pytest.fixture
def wanted(house):
    """Gives the bad upstream, which is asked first, a policy; takes it away afterwards."""
    upstream_id = house.upstreams["bad openai"]

    def save(text, **more):
        house.changed(lambda: policies.save(upstream_id, text, actor=None, **more))

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


def test_an_upstream_is_given_up_that_does_not_let_itself_be_reached_in_its_time(house, sim, wanted, tmp_path):
    with proxy(tmp_path, "http", fault="hang") as silent:
        wanted(json.dumps({"proxy": silent.address, "connect_s": 0.3}))
        since, began = sim.count(), time.monotonic()
        assert call(house, CHAT, model=MODEL).status == 200
        assert call(house, CHAT, model=ALONE, stream=False).status == 504
    assert time.monotonic() - began < 5
    assert asked(sim, since) == ["good"]


def test_an_upstream_is_given_up_that_takes_longer_than_its_time_in_all(house, sim, wanted):
    """Before the first content another serves; after it, as after any failure, the stream ends with the error event."""
    wanted('{"total_s": 0.5}')
    plan(sim, "ttfb=2", times=1)
    since = sim.count()
    plain = call(house, CHAT, model=MODEL, stream=False)
    assert plain.status == 200
    assert asked(sim, since) == ["bad", "good"]
    tries = house.rows(
        f"SELECT error FROM attempts WHERE record_id = '{house.record(plain.request_id)['id']}' ORDER BY n"
    )
    assert [each["error"] for each in tries] == ["attempt_timeout", ""]
    plan(sim, "gap=0.2,events=30")
    for talk in TALKS:
        streamed = call(house, talk, model=model_of(talk))
        assert streamed.status == 200
        record = house.record(streamed.request_id)
        if talk is MESSAGES:  # another upstream's, whose time is as usual
            assert (talk.ends in streamed.body, record["end"]) == (True, "completed")
        else:
            assert (talk.ends in streamed.body, record["end"]) == (False, "upstream_cut")
            assert b"longer than calls may take" in streamed.body


def test_calls_lead_through_an_upstreams_proxy_and_never_around_it(house, sim, wanted, tmp_path):
    since, login = sim.count(), "user:geheim"
    with proxy(tmp_path, "socks5", login=login) as through:
        wanted(json.dumps({"proxy": through.address}), proxy_login=login)
        for stream in (True, False):
            assert call(house, CHAT, model=MODEL, stream=stream).status == 200
        notes = through.seen()
        assert {(note["to"], note["login"]) for note in notes} == {(f"127.0.0.1:{sim.port}", login)}
        assert notes[0]["first"].startswith("POST /bad/v1/chat/completions HTTP/1.1")
        assert asked(sim, since) == ["bad"]
    since = sim.count()
    assert call(house, CHAT, model=MODEL).status == 200
    refused = call(house, CHAT, model=ALONE, stream=False)
    assert refused.status == 502
    assert str(through.port) not in str(refused)
    assert asked(sim, since) == ["good"]
    until(lambda: f"the proxy {through.address} can't be reached" in house.log.read_text())
    until(lambda: house.rows("SELECT error FROM attempts WHERE error = 'proxy_unreachable'"))
    assert "geheim" not in house.log.read_text()


@pytest.mark.acceptance("E-7")
def test_more_headers_reach_an_upstream_whose_policy_lets_them_through_and_no_other(house, sim, wanted):
    wanted('{"allow_headers": ["X-Trace-Id", "accept-language"]}')
    extra = {"x_trace_id": "t-1", "accept_language": "zh", "x_other": "x", "x_forwarded_for": "192.0.2.1"}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
    since = sim.count()
    assert house.post("/v1/chat/completions", body, **extra).status == 200
    plan(sim, "status=500")
    assert house.post("/v1/chat/completions", body, **extra).status == 200
    seen = [dict(request["headers"]) for request in sim.requests(since)]
    assert [headers.get("x-trace-id") for headers in seen] == ["t-1", "t-1", None]
    assert [headers.get("accept-language") for headers in seen] == ["zh", "zh", None]
    assert not {"x-other", "x-forwarded-for"} & set().union(*seen)
