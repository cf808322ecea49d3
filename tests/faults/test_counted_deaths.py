"""Workers die in the middle of calls and between what they count and tell: limits go by what the records say."""

import http.client
import os
import random
import signal
import threading
import time
from contextlib import nullcontext, suppress
from decimal import Decimal

import pytest

from app.protocol.limit import Measure
from app.protocol.price import Rates, Tariff
from app.services import allowances, catalog, prices
from tests import live
from tests.faults import servers
from tests.faults.clients import CHAT
from tests.live import until

DOLLAR = 1_000_000_000
KILLS = 6
CLIENTS = 12
RIGHT_S = 45.0
"""Within this after the last death limits go by the records again."""
MONEY = (Measure.DAY, Measure.MONTH, Measure.TOTAL)
pytestmark = pytest.mark.faults


def furnish(house):
    def all_of_it():
        prices.put(catalog.find_model("sim-*").id, Tariff(Rates(input=2 * DOLLAR, output=10 * DOLLAR)), actor=None)
        allowances.put("user", house.users["carol"], most=dict.fromkeys(MONEY, 10_000 * DOLLAR), actor=None)

    house.changed(all_of_it)


def stream_until(house, stop):
    while not stop.is_set():
        options = f"events={random.randint(1, 20)},gap=0.05,output={random.randint(1, 5000)}"
        try:
            house.post(CHAT.path, CHAT.asks(options, stream=True), who="carol")
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)


def storm(house):
    """Kill workers at random under clients that stream one call after the other."""
    stop = threading.Event()
    threads = [threading.Thread(target=stream_until, args=(house, stop)) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for _ in range(KILLS):
        until(lambda: house.provider.control("GET", "stats")["open"] >= CLIENTS // 2, seconds=30)
        time.sleep(random.uniform(0.5, 1.5))
        with suppress(ProcessLookupError):
            os.kill(random.choice(house.workers()), signal.SIGKILL)
    stop.set()
    for thread in threads:
        thread.join()


def adopted(house):
    """Whether what dead workers left is in the database: until then records say too little themselves."""
    left, alive = (house.settings.data_dir / "journal").glob("*.journal"), house.workers()
    return all(int(path.name.partition("-")[0]) in alive for path in left)


def counted(house):
    told = house.ask("GET", "/v1/usage", who="carol").json()["limits"]
    return {each["measure"]: int(Decimal(each["used"]) * DOLLAR) for each in told}


def recorded(house):
    return int(house.rows("SELECT SUM(cost_nanos) AS nanos FROM records")[0]["nanos"])


def as_recorded(house):
    spent = recorded(house)
    told = counted(house)
    return told == dict.fromkeys(told, spent) and spent


@pytest.mark.acceptance("K-2")
@pytest.mark.fault("X-1")
@pytest.mark.parametrize(("kind", "workers"), [("sqlite", 1), ("postgresql", 2)])
def test_after_workers_were_killed_limits_go_by_what_the_records_say(provider, sim, tmp_path, tell, kind, workers):
    with servers.redis_server() if workers > 1 else nullcontext() as redis_server:
        more = {"redis_url": redis_server.url} if workers > 1 else {}
        with live.database(kind, tmp_path, f"realms_deaths_{os.getpid()}") as url:
            with live.open_house(tmp_path, url, provider, workers=str(workers), drain_s="3", **more) as house:
                furnish(house)
                storm(house)
                ended = time.monotonic()
                spent = until(lambda: adopted(house) and as_recorded(house), seconds=RIGHT_S, every=0.5)
                took = time.monotonic() - ended
                died = house.rows("SELECT COUNT(*) AS n FROM records WHERE \"end\" = 'aborted' AND cost_nanos > 0")[0][
                    "n"
                ]
                assert died > 0
                tell(
                    f"{kind}, {workers} workers, {KILLS} killed: {died} calls died; limits went by the records, "
                    f"{spent / DOLLAR} dollars, after {took:.0f} s"
                )
                time.sleep(11)  # a look in that time would count what has been counted again
                assert as_recorded(house) == spent
                house.post(CHAT.path, CHAT.asks("events=1,output=1000", stream=True), who="carol")
                until(lambda: recorded(house) > spent)
                until(lambda: as_recorded(house), seconds=5)
