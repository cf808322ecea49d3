"""Testing an upstream asks one of its models for a word, as a caller's stream would."""

import pytest

from app.extensions import db
from app.services import catalog, policies, upstreams
from app.services.trial import try_out
from tests.proxying import proxy as running

on_sqlite = pytest.mark.parametrize("house", ["sqlite"], indirect=True, scope="session")


@pytest.fixture
def tried(house, sim):
    """Test an upstream of the running house; return name, outcome and detail of each step."""

    def tried(name):
        with house.app.app_context():
            steps = try_out(upstreams.get(house.upstreams[name]))
            db.session.remove()
        return [(step.name, step.ok, step.detail) for step in steps]

    return tried


@on_sqlite
@pytest.mark.parametrize(
    ("name", "path", "model"), [("main", "/v1/chat/completions", "sim-1"), ("claude", "/v1/messages", "claude-sim-1")]
)
def test_a_model_that_is_served_is_asked(house, sim, tried, name, path, model):
    if name == "claude":
        house.changed(lambda: catalog.import_models(house.upstreams["claude"], {"trial": model}, actor=None))
    since = sim.count()
    assert tried(name)[-1] == ("stream", True, f"{model} answered")
    assert sim.requests(since)[-1]["path"] == path


@on_sqlite
@pytest.mark.parametrize("fault", ["status=500", "fault=cut_at:300", "fault=html", "fault=no_terminal:2"])
def test_a_stream_that_fails_is_told(sim, tried, fault):
    sim.control("POST", "faults", {"fault": fault, "path": "/v1/chat/completions", "times": 1})
    name, ok, detail = tried("main")[-1]
    assert (name, ok) == ("stream", False)
    assert detail


@on_sqlite
def test_an_upstream_without_a_named_model_is_asked_for_its_list_alone(tried):
    assert [step[0] for step in tried("second")] == ["address", "connection", "tls", "authentication"]


@on_sqlite
def test_it_leads_through_the_upstreams_proxy_or_nowhere(house, sim, tried, tmp_path):
    with running(tmp_path, "socks5") as proxy:
        house.changed(lambda: policies.set_proxy(house.upstreams["main"], proxy.address, actor=None))
        assert tried("main")[-1] == ("stream", True, "sim-1 answered")
        asked = [first.split(" HTTP")[0] for first in proxy.said() if first]
        assert asked == ["GET /v1/models", "POST /v1/chat/completions"]
    since = sim.count()
    try:
        name, ok, detail = tried("main")[-1]
    finally:
        house.changed(lambda: policies.set_proxy(house.upstreams["main"], "", actor=None))
    assert (name, ok, proxy.address in detail) == ("connection", False, True)
    assert sim.count() == since
