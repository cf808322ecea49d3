"""What calls cost by the providers' published rules, worked out by hand, is what records, sums, pages and files say."""

import csv
import io
from decimal import Decimal

import pytest

from app.protocol.price import Rates, Tariff, Tier
from app.services import accounts, catalog, prices, tokens
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, Client
from tests.live import PASSWORD, until
from tests.rooms import Browser


def rates(**dollars):
    """USD for a million tokens (for one search), as price lists have them."""
    return Rates(**{kind: int(Decimal(amount) * 10**9) for kind, amount in dollars.items()})


GPT = Tariff(rates(input="1.25", cache_read="0.125", output="10"))
FLEX = Tariff(rates(input="0.625", cache_read="0.0625", output="5"))
PRIORITY = Tariff(rates(input="2.5", cache_read="0.25", output="20"))
AUDIO = Tariff(rates(input="2.5", output="10", audio_input="40", audio_output="80"))
DEEPSEEK = Tariff(rates(input="0.28", cache_read="0.028", output="0.42"))
GEMINI = Tariff(
    rates(input="1.25", cache_read="0.125", output="10"),
    (Tier(200_000, rates(input="2.5", cache_read="0.25", output="15")),),
)
SONNET = Tariff(
    rates(input="3", cache_read="0.3", cache_write_5m="3.75", cache_write_1h="6", output="15", web_search="0.01"),
    (
        Tier(
            200_000,
            rates(
                input="6", cache_read="0.6", cache_write_5m="7.5", cache_write_1h="12", output="22.5", web_search="0.01"
            ),
        ),
    ),
)
MODELS = {
    "paid-gpt": ("main", "sim-1", GPT, {"flex": FLEX, "priority": PRIORITY}),
    "paid-audio": ("main", "sim-1", AUDIO, {}),
    "paid-deepseek": ("main", "sim-1", DEEPSEEK, {}),
    "paid-gemini": ("main", "sim-1", GEMINI, {}),
    "paid-sonnet": ("claude", "claude-sim-1", SONNET, {}),
}


def responses(read, wrote, *, cached=None, thought=None):
    told = {"input_tokens": read, "output_tokens": wrote, "total_tokens": read + wrote}
    told |= {} if cached is None else {"input_tokens_details": {"cached_tokens": cached}}
    return told | ({} if thought is None else {"output_tokens_details": {"reasoning_tokens": thought}})


def chat(read, wrote, **more):
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote} | more


def messages(read, wrote, **more):
    return {"input_tokens": read, "output_tokens": wrote} | more


# In which dialect, which model, what the provider says was used, and what that costs in nano-dollars, by hand.
CASES = {
    "cached input, and reasoning inside the output": (
        # 2,105 fresh at 1,250 is 2,631,250; 10,240 cached at 125 is 1,280,000; 2,048 at 10,000 is 20,480,000
        RESPONSES, "paid-gpt", responses(12_345, 2_048, cached=10_240, thought=1_536), 24_391_250,
    ),
    "flex, half a nano-dollar rounded up": (
        # 668 at 625 is 417,500; 333 at 62.5 is 20,812.5; 77 at 5,000 is 385,000
        RESPONSES, "paid-gpt", responses(1_001, 77, cached=333) | {"service_tier": "flex"}, 823_313,
    ),
    "priority": (
        # 100 at 2,500 is 250,000; 10 at 20,000 is 200,000
        RESPONSES, "paid-gpt", responses(100, 10) | {"service_tier": "priority"}, 450_000,
    ),
    "nothing but two counts": (
        # 9 at 1,250 is 11,250; 13 at 10,000 is 130,000
        RESPONSES, "paid-gpt", responses(9, 13), 141_250,
    ),
    "audio heard and said": (
        # 140 at 2,500 is 350,000; 1,000 at 40,000 is 40,000,000; 30 at 10,000 is 300,000; 400 at 80,000 is 32,000,000
        CHAT, "paid-audio", chat(
            1_140, 430,
            prompt_tokens_details={"audio_tokens": 1_000, "cached_tokens": 0},
            completion_tokens_details={"audio_tokens": 400, "reasoning_tokens": 0},
        ), 72_650_000,
    ),
    "hits and misses of a cache": (
        # 200 at 280 is 56,000; 4,800 at 28 is 134,400; 250 at 420 is 105,000
        CHAT, "paid-deepseek", chat(5_000, 250, prompt_cache_hit_tokens=4_800, prompt_cache_miss_tokens=200), 295_400,
    ),
    "a long prompt, and thoughts beside the completion": (
        # 200,000 at 2,500 is 500,000,000; 50,000 at 250 is 12,500,000; 3,500 at 15,000 is 52,500,000
        CHAT, "paid-gemini",
        chat(250_000, 1_000, prompt_tokens_details={"cached_tokens": 50_000}) | {"total_tokens": 253_500}, 565_000_000,
    ),
    "cache read, and written for five minutes and for an hour": (
        # 3 at 3,000 is 9,000; 45,000 at 300 is 13,500,000; 4,000 at 3,750 is 15,000,000; 2,000 at 6,000 is 12,000,000;
        # 812 at 15,000 is 12,180,000
        MESSAGES, "paid-sonnet", messages(
            3, 812,
            cache_read_input_tokens=45_000,
            cache_creation_input_tokens=6_000,
            cache_creation={"ephemeral_5m_input_tokens": 4_000, "ephemeral_1h_input_tokens": 2_000},
        ), 52_689_000,
    ),
    "three searches": (
        # 1,500 at 3,000 is 4,500,000; 400 at 15,000 is 6,000,000; 3 searches at a cent are 30,000,000
        MESSAGES, "paid-sonnet", messages(
            1_500, 400,
            cache_read_input_tokens=0, cache_creation_input_tokens=0, server_tool_use={"web_search_requests": 3},
        ), 40_500_000,
    ),
    "a token beyond the long-context threshold": (
        # 10,001 at 6,000 is 60,006,000; 180,000 at 600 is 108,000,000; 10,000 at 7,500 is 75,000,000;
        # 1,000 at 22,500 is 22,500,000
        MESSAGES, "paid-sonnet",
        messages(10_001, 1_000, cache_read_input_tokens=180_000, cache_creation_input_tokens=10_000), 265_506_000,
    ),
    "exactly at the threshold": (
        # 10,000 at 3,000 is 30,000,000; 180,000 at 300 is 54,000,000; 10,000 at 3,750 is 37,500,000;
        # 1,000 at 15,000 is 15,000,000
        MESSAGES, "paid-sonnet",
        messages(10_000, 1_000, cache_read_input_tokens=180_000, cache_creation_input_tokens=10_000), 136_500_000,
    ),
}  # fmt: skip
ALL = 2 * 1_158_946_213
"""Each once whole and once as a stream."""


@pytest.fixture(scope="module")
def payer(house):
    """Somebody new, and the models with their prices; the number of the user."""

    def made():
        user = accounts.create_user(email="payer@example.com", password=PASSWORD, role="user", actor=None)
        house.tokens["payer"] = tokens.mint(user, name="first", actor=user).secret
        for name, (upstream, there, standard, services) in MODELS.items():
            catalog.import_models(house.upstreams[upstream], {name: there}, actor=None)
            prices.put(catalog.find_model(name).id, standard, services=services, actor=None)
        return user.id

    return house.changed(made)


def test_what_is_paid_is_what_the_price_lists_say_everywhere(house, sim, payer):
    for name, (talk, model, told, nanos) in CASES.items():
        for stream in (False, True):
            answer = house.post(
                talk.path, talk.asks(stream=stream, model=model, simulated_usage=told), who="payer", **talk.headers
            )
            assert answer.status == 200, (name, answer.body)
            record = house.record(answer.headers["x-request-id"])
            assert (record["cost_nanos"], record["usage_state"]) == (nanos, "reported"), (name, stream, record)
    for table in ("records", "rollups", "daily_rollups"):
        assert _one(house, f"SELECT SUM(cost_nanos) AS n FROM {table} WHERE user_id = {payer}") == ALL
    today = until(lambda: house.ask("GET", "/v1/usage", who="payer").json()["totals"]["today"])
    assert (today["requests"], today["requests_without_price"]) == (2 * len(CASES), 0)
    assert today["cost_usd"] == "2.317892426"
    assert {name: today[name] for name in COUNTED} == {
        name: _one(house, f"SELECT SUM({column}) AS n FROM records WHERE user_id = {payer}")
        for name, column in COUNTED.items()
    }
    browser = Browser(house.app).sign_in("payer@example.com")
    assert "$2.32" in browser.get("/usage").text
    for path in ("/usage/requests.csv", "/usage/hours.csv", "/usage/days.csv"):
        lines = list(csv.DictReader(io.StringIO(browser.get(path).html)))
        assert sum(int(line["cost_usd"].replace(".", "")) for line in lines) == ALL, path


COUNTED = {
    "input_tokens": "COALESCE(input_tokens, 0)",
    "cache_read_tokens": "COALESCE(cache_read_tokens, 0)",
    "cache_write_tokens": "COALESCE(cache_write_5m_tokens, 0) + COALESCE(cache_write_1h_tokens, 0)",
    "output_tokens": "COALESCE(output_tokens, 0)",
    "reasoning_tokens": "COALESCE(reasoning_tokens, 0)",
}


def test_a_call_whose_model_is_deleted_meanwhile_costs_what_it_was_to_cost(house, sim):
    def made():
        catalog.import_models(house.upstreams["main"], {"paid-once": "sim-1+events=3,gap=1"}, actor=None)
        prices.put(catalog.find_model("paid-once").id, GPT, actor=None)

    house.changed(made)
    with Client(house) as client:
        client.send(RESPONSES, model="paid-once", simulated_usage=responses(9, 13))
        client.read_until(b"\n\n")
        house.changed(lambda: catalog.delete_model(catalog.find_model("paid-once").id, actor=None))
        client.rest()
        assert house.record(client.request_id)["cost_nanos"] == 141_250


def _one(house, query):
    return int(house.rows(query)[0]["n"])
