"""Limits on the wire: what a refused caller is told, what every answer says is left, and room that comes back."""

import threading
import time
from contextlib import contextmanager
from itertools import product

import anthropic
import openai
import pytest

from app.protocol.limit import Measure
from app.protocol.price import Rates, Tariff
from app.services import allowances, catalog, prices, upstreams
from tests.faults.clients import CHAT, MESSAGES, RESPONSES, TALKS, Client, name_of, under_way
from tests.live import free_port, until

DOLLAR = 1_000_000_000


@contextmanager
def limited(house, *, scope="user", who="carol", **most):
    """Carol, or one model, has limits for as long as it takes."""
    subject = house.users[who] if scope == "user" else house.changed(lambda: catalog.find_model(who).id)
    wanted = {Measure(name): value for name, value in most.items()}
    house.changed(lambda: allowances.put(scope, subject, most=wanted, actor=None))
    try:
        yield
    finally:
        house.changed(lambda: allowances.put(scope, subject, most={}, actor=None))


def ask(house, talk, options="", *, who="carol", stream=False, **more):
    return house.post(talk.path, talk.asks(options, stream=stream, **more), who=who, **talk.headers)


def minute_begins():
    """Not in the last seconds of a minute, in which a test would see two of them."""
    if time.time() % 60 > 50:
        time.sleep(60 - time.time() % 60)


@pytest.mark.acceptance("H-3")
@pytest.mark.parametrize(("talk", "who"), list(zip(TALKS, ("alice", "bob", "carol"), strict=True)), ids=name_of)
def test_who_is_over_a_rate_is_told_how_long_to_wait(house, sim, talk, who):
    minute_begins()
    with limited(house, who=who, requests_minute=2):
        first = ask(house, talk, who=who)
        name = "anthropic-ratelimit-requests-{}" if talk is MESSAGES else "x-ratelimit-{}-requests"
        assert (first.status, first.headers[name.format("limit")], first.headers[name.format("remaining")]) == (
            200,
            "2",
            "1",
        )
        ask(house, talk, stream=True, who=who)
        count = sim.count()
        refused = ask(house, talk, who=who)
        assert refused.status == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert "limit of 2 requests per minute" in refused.json()["error"]["message"]
        record = house.record(refused.headers["x-request-id"])
        assert (record["status"], record["end"], record["reason"]) == (429, "refused", "rate_limit_exceeded")
        assert (record["cost_nanos"], sim.count()) == (0, count)


def test_the_official_clients_know_what_they_are_told(house, sim, openai_of, anthropic_of):
    minute_begins()
    with limited(house, requests_minute=0):
        with pytest.raises(openai.RateLimitError) as told:
            openai_of("carol").responses.create(model="sim-1", input="hi")
        assert told.value.code == "rate_limit_exceeded"
        with pytest.raises(anthropic.RateLimitError):
            anthropic_of("carol").messages.create(
                max_tokens=5, model="claude-sim-1", messages=[{"role": "user", "content": "x"}]
            )


@contextmanager
def with_prices(house):
    """Every model costs 2 and 10 dollars for a million tokens."""
    tariff = Tariff(Rates(input=2 * DOLLAR, cache_read=DOLLAR, output=10 * DOLLAR))
    names = ("sim-*", "claude-*")
    made = house.changed(lambda: [prices.put(catalog.find_model(n).id, tariff, actor=None).id for n in names])
    yield
    house.changed(lambda: [prices.delete(price_id, actor=None) for price_id in made])


@pytest.fixture(scope="module")
def priced(house):
    with with_prices(house):
        yield


@pytest.mark.acceptance("H-3")
@pytest.mark.parametrize(
    ("talk", "stream", "who"),
    [(RESPONSES, True, "alice"), (CHAT, False, "bob"), (MESSAGES, True, "carol")],
    ids=name_of,
)
def test_who_has_no_money_left_is_told_so_and_what_was_used_is_paid(house, sim, priced, talk, stream, who):
    until(lambda: sim.control("GET", "stats")["open"] == 0)
    house.record(ask(house, talk, who=who).headers["x-request-id"])  # behind what others' calls have cost
    spent = sum(
        row["cost_nanos"] for row in house.rows(f"SELECT cost_nanos FROM rollups WHERE user_id = {house.users[who]}")
    )
    bound = {"max_output_tokens" if talk is RESPONSES else "max_tokens": 100}
    with limited(house, who=who, money_total=spent + 3_000_000):
        first = ask(house, talk, "input=100,output=50,cached=0", stream=stream, who=who, **bound)
        assert first.status == 200
        assert house.record(first.headers["x-request-id"])["cost_nanos"] == 700_000
        second = ask(house, talk, "input=1000,output=90,cached=0", stream=stream, who=who, **bound)
        assert second.status == 200
        refused = ask(house, talk, stream=stream, who=who, **bound)
        assert refused.status == (402 if talk is MESSAGES else 429)
        assert refused.headers["x-should-retry"] == "false"
        error = refused.json()["error"]
        assert error["type"] == ("billing_error" if talk is MESSAGES else "insufficient_quota")
        assert "in all is reached" in error["message"]


def test_a_model_without_a_price_is_not_free(house, sim):
    with limited(house, money_month=DOLLAR):
        refused = ask(house, CHAT, model="other-1")
    assert (refused.status, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert "no price" in refused.json()["error"]["message"]


def test_a_model_that_there_is_not_is_no_question_of_money(house, sim):
    with limited(house, money_month=1000 * DOLLAR):
        refused = ask(house, CHAT, model="nobody-has-this")
    assert (refused.status, refused.json()["error"]["code"]) == (404, "model_not_found")


ENDS = {
    "whole": "events=3",
    "refused by the provider": "status=400",
    "cut": "events=5,fault=no_terminal:3",
    "broken": "fault=reset",
    "no such model": None,
}


@pytest.mark.acceptance("K-2")
def test_every_way_to_end_gives_room_back(house, sim):
    with limited(house, concurrent=1):
        for talk, stream, end in product(TALKS, (False, True), ENDS):
            more = {} if ENDS[end] else {"model": "no-such-model"}
            answer = ask(house, talk, ENDS[end] or "", stream=stream, **more)
            assert answer.status != 429, (talk, stream, end, answer.body)


@pytest.mark.acceptance("G-9")
def test_a_client_that_leaves_gives_its_room_back_within_a_second(house, sim):
    with limited(house, concurrent=1):
        for talk in TALKS:
            with Client(house, who="carol") as client:
                client.send(talk, "events=10,fault=hang_after:3").read_until(b"\n\n", times=2)
                assert ask(house, talk).status == 429
            until(lambda talk=talk: ask(house, talk).status == 200, seconds=1.0)


@pytest.mark.acceptance("K-1", "K-8")
@pytest.mark.parametrize("scope", ["user", "model"])
def test_of_one_more_than_may_run_at_a_time_exactly_one_is_refused(house, sim, scope):
    most = 5
    told = []

    def one():
        told.append(ask(house, CHAT, "events=4,gap=0.15", stream=True).status)

    with limited(house, scope=scope, who="carol" if scope == "user" else "sim-*", concurrent=most):
        threads = [threading.Thread(target=one) for _ in range(most + 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(told) == [200] * most + [429]


@pytest.mark.acceptance("K-2")
def test_calls_that_run_when_money_is_first_limited_count_under_the_limit(house, sim, priced):
    cent = DOLLAR // 100
    spent = "SELECT COALESCE(SUM(cost_nanos), 0) AS nanos FROM rollups WHERE user_id = {}".format(house.users["carol"])
    house.record(ask(house, CHAT).headers["x-request-id"])  # all that was before it is there, too
    before = house.rows(spent)[0]["nanos"]
    with under_way(house, 30, who="carol"), limited(house, money_total=before + 40 * cent):
        more = [ask(house, CHAT, "events=1,output=1000,input=0,cached=0", max_tokens=1000) for _ in range(30)]
        told = [answer.status for answer in more]
        assert 9 <= told.count(200) <= 10
        assert told.count(429) == 30 - told.count(200)
    after = before + (30 + told.count(200)) * cent
    until(lambda: house.rows(spent)[0]["nanos"] == after)
    assert after <= before + 40 * cent


@pytest.mark.acceptance("K-1")
def test_calls_that_run_when_their_number_is_first_limited_count_under_the_limit(house, sim, priced):
    for _ in range(2):  # a limit that comes again knows nothing of calls that began without it
        with under_way(house, 10, who="bob"), limited(house, who="bob", concurrent=12):
            told = []
            threads = [threading.Thread(target=_one, args=(house, told)) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert sorted(told) == [200] * 2 + [429] * 4


def _one(house, told):
    told.append(ask(house, CHAT, "events=3,gap=0.5", stream=True, who="bob").status)


def test_a_call_that_reached_no_upstream_costs_nothing(house):
    """While an upstream is away nobody's money is used up by trying."""

    def create():
        url = f"http://127.0.0.1:{free_port()}/v1"
        made = upstreams.create(name="nowhere", kind="openai", base_url=url, key="x", priority=0, weight=1, actor=None)
        catalog.import_models(made.id, {"nowhere-1": None}, actor=None)
        prices.put(catalog.find_model("nowhere-1").id, Tariff(Rates(input=DOLLAR, output=DOLLAR)), actor=None)
        return made.id

    upstream_id = house.changed(create)
    try:
        with limited(house, money_total=1000 * DOLLAR):
            told = ask(house, CHAT, model="nowhere-1")
            assert told.status == 502
            record = house.record(told.headers["x-request-id"])
            assert (record["end"], record["cost_nanos"]) == ("refused", 0)
    finally:
        house.changed(lambda: upstreams.delete(upstream_id, actor=None))
