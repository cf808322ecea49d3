"""What the price list knows is offered for the right model, exactly, and what was set by hand is kept apart."""

import sys

import pytest

from app.protocol.price import Rates, Tariff, bill
from app.protocol.usage import from_object
from app.services import catalog, price_list, prices, upstreams
from app.services.context import context

GPT = {"input": 1_250_000_000, "cache_read": 125_000_000, "output": 10_000_000_000, "web_search": 10_000_000}


def upstream(name, kind, base_url, *models):
    made = upstreams.create(name=name, kind=kind, base_url=base_url, key="k", priority=0, weight=1, actor=None)
    catalog.import_models(made.id, dict(models), actor=None)


@pytest.fixture
def served(ctx):
    upstream("a", "openai", "https://api.openai.com/v1", ("gpt-5", None), ("fast", "gpt-5-mini"), ("gpt-*", None))
    upstream("b", "anthropic", "https://claude.example.com", ("claude-sonnet-4-5", None))
    upstream("c", "openai", "https://proxy.example.com/v1", ("gpt-4o", None), ("house-model", None))


def offered():
    return {offer.model: offer for offer in price_list.offers()}


def test_a_model_is_found_by_its_upstreams_address_its_kind_or_its_name(served):
    found = offered()
    assert set(found) == {"gpt-5", "fast", "claude-sonnet-4-5", "gpt-4o"}
    assert [name for name, offer in found.items() if offer.by_name] == ["gpt-4o"]
    assert found["gpt-5"].tariffs["standard"]["rates"] == GPT
    assert found["fast"].tariffs["standard"]["rates"]["input"] == 250_000_000
    assert (found["gpt-5"].source, found["gpt-5"].present) == ("genai-prices openai", None)
    assert set(found["gpt-5"].tariffs) >= {"standard", "flex"}


def test_thresholds_come_as_tiers(served):
    sonnet = offered()["claude-sonnet-4-5"].tariffs["standard"]
    assert sonnet["rates"]["input"] == 3_000_000_000
    (tier,) = sonnet["tiers"]
    assert (tier["above"], tier["rates"]["input"], tier["rates"]["cache_write_1h"]) == (
        200_000,
        6_000_000_000,
        12_000_000_000,
    )


def test_what_is_taken_is_in_force_and_offers_no_change_any_more(served):
    assert price_list.take({"gpt-5", "claude-sonnet-4-5"}, actor=None) == 2
    assert price_list.take({"gpt-5"}, actor=None) == 0
    assert not offered()["gpt-5"].changes
    (price,) = context().directory.snapshot.models["gpt-5"].prices
    assert bill(price, from_object({"input_tokens": 100, "output_tokens": 10})).cost == 225_000
    assert prices.list_for(offered()["gpt-5"].model_id)[0].source == "genai-prices openai"


def test_a_price_set_by_hand_is_told(served):
    model_id = offered()["gpt-5"].model_id
    prices.put(model_id, Tariff(Rates(input=1)), actor=None)
    assert (offered()["gpt-5"].manual, offered()["gpt-5"].changes) == (True, True)


def test_workers_never_load_the_list(served):
    """Its import takes a third of a second, and brings a client of HTTP along."""
    import subprocess

    code = "import sys, app, app.wiring, app.admin, app.console; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
