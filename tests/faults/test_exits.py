"""Every fault of the provider, on every protocol, streamed or not: nobody keeps room that nobody uses."""

import http.client
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest

from app.extensions import db
from app.protocol.limit import Measure
from app.protocol.price import Rates, Tariff
from app.services import allowances, catalog, prices
from simulator.faults import FAULTS
from tests import live
from tests.faults.clients import CHAT, TALKS, Client
from tests.live import until

DOLLAR = 1_000_000_000
AT_ONCE = 12
MONEY = 10_000 * DOLLAR
TAKES = {
    "hang_after": "2", "reset_at": "300", "cut_at": "300", "half_close": "", "slow": "4000", "slow_body": "4000",
    "informational": "3", "huge_header": "200000", "many_headers": "500", "bad_header": "lf", "wrong_length": "+9",
    "redirect": "http://127.0.0.1:1/", "type": "text/csv", "gzip_bomb": "50", "stacked_gzip": "3", "split": "3",
    "split_random": "5", "same_id": "same", "long_id": "400", "error_first": "500", "error_opening": "429",
    "error_after": "2:500", "no_terminal": "2", "big_event": "300000",
}  # fmt: skip
"""What faults are given; the others need nothing."""
LEFT = object()
"""The client goes in the middle."""


@pytest.fixture(scope="module")
def hasty(provider, tmp_path_factory):
    """A Realms that waits for nobody long."""
    folder = tmp_path_factory.mktemp("exits")
    waits = {"first_byte_s": "5", "stream_idle_s": "5", "stream_total_s": "20", "write_s": "5", "connect_s": "5"}
    with live.database("sqlite", folder, "exits") as url:
        with live.open_house(folder, url, provider, **waits) as house:
            with house.app.app_context():
                for name in ("sim-*", "claude-*"):
                    tariff = Tariff(Rates(input=2 * DOLLAR, output=10 * DOLLAR))
                    prices.put(catalog.find_model(name).id, tariff, actor=None)
                db.session.remove()
            yield house


def used(house):
    told = house.ask("GET", "/v1/usage", who="carol").json()["limits"]
    return {each["measure"]: each["used"] for each in told}


def end_of(house, talk, options, *, stream):
    """How a call ends for its client."""
    with Client(house, who="carol", timeout=30) as client:
        try:
            if options is LEFT:
                client.send(talk, "events=50,gap=0.2", stream=stream)
                if stream:
                    client.piece()
                return "left"
            client.send(talk, options, stream=stream)
            status = client.answer.status
            client.rest()
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        return status


@pytest.mark.faults
@pytest.mark.acceptance("K-2")
@pytest.mark.timeout(300)
def test_after_every_fault_nobody_keeps_room_that_nobody_uses(hasty, sim):
    assert set(TAKES) <= set(FAULTS)
    limits = {Measure.CONCURRENT: 50, Measure.TOTAL: MONEY}
    hasty.changed(lambda: allowances.put("user", hasty.users["carol"], most=limits, actor=None))
    faults = [f"fault={name}:{TAKES[name]}".rstrip(":") if name in TAKES else f"fault={name}" for name in FAULTS]
    ends = [*faults, *(f"status={status}" for status in (400, 401, 429, 503, 529)), "", LEFT]
    asked = list(product(TALKS, ends, (False, True)))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        told = list(pool.map(lambda each: end_of(hasty, each[0], each[1], stream=each[2]), asked))
    print(f"{len(asked)} calls with {len(ends)} ends: {Counter(told).most_common()}")
    broken = [
        (talk.name, end, stream) for (talk, end, stream), status in zip(asked, told, strict=True) if status == 500
    ]
    assert not broken
    assert "left" in told
    until(lambda: used(hasty)["concurrent"] == 0, seconds=30, every=0.5)
    mine = f"SELECT COUNT(*) AS n, SUM(cost_nanos) AS nanos FROM records WHERE user_id = {hasty.users['carol']}"
    until(lambda: hasty.rows(mine)[0]["n"] == len(asked), seconds=10, every=0.5)
    known, unknown = (hasty.rows(f"{mine} AND cost_nanos IS {null}")[0] for null in ("NOT NULL", "NULL"))
    spent = round(float(used(hasty)["money_total"]) * DOLLAR)
    print(f"{known['n']} of known cost, {unknown['n']} keep what they reserved")
    assert spent == known["nanos"] if not unknown["n"] else spent > known["nanos"]


@pytest.mark.faults
@pytest.mark.acceptance("K-2")
def test_two_hundred_calls_with_money_for_ten_on_one_worker(hasty, sim):
    """Each may cost 100,000 tokens at 10 dollars a million, and little for what it asks; and does."""
    limits = {Measure.TOTAL: 10 * DOLLAR + DOLLAR // 100}
    hasty.changed(lambda: allowances.put("user", hasty.users["bob"], most=limits, actor=None))
    body = CHAT.asks("events=3,gap=0.2,output=100000", stream=True, max_tokens=100_000)
    with ThreadPoolExecutor(50) as pool:
        told = Counter(pool.map(lambda _: hasty.post(CHAT.path, body, who="bob").status, range(200)))
    assert told == {200: 10, 429: 190}
    total = f"SELECT SUM(cost_nanos) AS n FROM records WHERE user_id = {hasty.users['bob']}"
    until(lambda: 0 <= hasty.rows(total)[0]["n"] - 10 * DOLLAR < DOLLAR // 100)
