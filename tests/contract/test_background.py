"""What a background response used is known once its owner has read its end, however it was made and is read."""

import os
import time
from decimal import Decimal

import pytest

from tests import live
from tests.contract.test_limits import limited, with_prices
from tests.faults import servers
from tests.faults.clients import RESPONSES, Client
from tests.live import until

COST = 9 * 2000 + 13 * 10_000
"""In nano-dollars, of what is told; each call may write 1,000 tokens, which would be 10,000,000."""
TOLD = {"input_tokens": 9, "output_tokens": 13, "total_tokens": 22}


def create(house, options="", *, who="alice", **more):
    """One that isn't streamed."""
    body = RESPONSES.asks(options, stream=False, max_output_tokens=1000, simulated_usage=TOLD, **more)
    return house.post(RESPONSES.path, body, who=who)


def made(house, options, *, who="alice"):
    """A background response that its client doesn't wait for: its id, and its request's."""
    answer = create(house, options, who=who, background=True)
    return answer.json()["id"], answer.headers["x-request-id"]


def left(house, options, *, who="alice"):
    """The same as a stream, whose client leaves after its first event with content."""
    with Client(house, who=who) as client:
        client.send(RESPONSES, options, background=True, max_output_tokens=1000, simulated_usage=TOLD)
        shown = client.read_until(b"output_text.delta")
        return shown.partition(b'"id":"')[2].partition(b'"')[0].decode(), client.request_id


def known(house, request_id):
    """What is known of a request, once what it used is."""
    record = house.record(request_id)
    return record if record["usage_state"] == "reported" else None


@pytest.mark.parametrize(("make", "end"), [(made, "completed"), (left, "client_left")], ids=["alone", "left"])
@pytest.mark.parametrize("query", ["", "?stream=true"], ids=["read", "replayed"])
def test_who_reads_its_end_brings_what_it_used(house, sim, make, end, query):
    made_id, request_id = make(house, "background=0.3,events=6,gap=0.05")
    assert house.record(request_id)["usage_state"] != "reported"
    time.sleep(0.5)
    answer = house.ask("GET", f"/v1/responses/{made_id}{query}")
    assert (answer.status, b"completed" in answer.body) == (200, True)
    record = until(lambda: known(house, request_id))
    assert (record["end"], record["input_tokens"], record["output_tokens"]) == (end, 9, 13)


@pytest.fixture(scope="module")
def shared(provider, tmp_path_factory):
    """Two workers that count in Redis."""
    folder = tmp_path_factory.mktemp("shared")
    with servers.redis_server() as counts, live.database("postgresql", folder, f"realms_back_{os.getpid()}") as url:
        more = {"workers": "2", "drain_s": "3", "redis_url": counts.url}
        with live.open_house(folder, url, provider, **more) as house:
            yield house


def used(house, who):
    """What the only limit of somebody says is used, in nano-dollars."""
    (told,) = house.ask("GET", "/v1/usage", who=who).json()["limits"]
    return int(Decimal(told["used"]) * 10**9)


def comes_back(house, who):
    """There is room for one: who has read the end of the first may make the next."""
    for make in (made, left):
        spent = house.rows(f"SELECT sum(cost_nanos) AS nanos FROM rollups WHERE user_id = {house.users[who]}")
        before = int(spent[0]["nanos"] or 0)
        with limited(house, who=who, money_day=before + 15_000_000):
            made_id, request_id = make(house, "background=0.3,events=6,gap=0.05", who=who)
            house.record(request_id)
            assert create(house, who=who).status == (429 if make is made else 200)
            time.sleep(0.5)
            ended = COST if make is made else 2 * COST
            assert house.ask("GET", f"/v1/responses/{made_id}", who=who).json()["status"] == "completed"
            until(lambda ended=ended, before=before: used(house, who) == before + ended, seconds=4)
            last = create(house, who=who)
            assert house.record(last.headers["x-request-id"])["cost_nanos"] == COST


def test_money_that_was_reserved_comes_back_once_the_end_was_read(house, sim):
    with with_prices(house):
        comes_back(house, "bob")


def test_whichever_worker_hears_of_the_end_gives_it_back(shared, sim):
    with with_prices(shared):
        comes_back(shared, "bob")
