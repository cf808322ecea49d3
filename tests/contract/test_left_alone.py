"""A background response that nobody reads is asked for, and counted as if its owner had read it."""

import os
import time
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.extensions import db
from app.models import OwnedObject, Record
from app.models.base import utcnow
from app.services import pending, upstreams
from tests import live
from tests.contract.test_background import COST, left, made, used
from tests.contract.test_limits import limited, with_prices
from tests.faults import servers
from tests.live import until

CONFIG = "tests/contract/looking.conf.py"
AGES_S = (1, 2, 4, 8)
"""When those of these houses have their turns, on and on at twice the age."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "mysql"])
def house(request, provider, tmp_path_factory, worker_name):
    folder = tmp_path_factory.mktemp(f"left-{request.param}")
    with live.database(request.param, folder, f"realms_left_{worker_name}_{os.getpid()}") as url:
        with live.open_house(folder, url, provider, config=CONFIG) as running:
            yield running


@pytest.fixture(scope="module")
def hosts(provider, tmp_path_factory, worker_name):
    """Two hosts, the second with two workers."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    name = f"realms_hosts_{worker_name}_{os.getpid()}"
    with servers.redis_server() as counts, live.database("postgresql", one, name) as url:
        more = {"config": CONFIG, "redis_url": counts.url}
        with live.open_house(one, url, provider, **more) as first:
            with live.open_house(two, url, provider, beside=first, workers="2", **more) as second:
                yield first, second


def asks(sim, made_id):
    """When the provider was asked for a response."""
    return [each for each in sim.requests() if each["method"] == "GET" and each["path"].endswith(made_id)]


def known(house, request_id):
    record = house.record(request_id)
    return record if record["usage_state"] == "reported" else None


@pytest.mark.parametrize(("make", "end"), [(made, "completed"), (left, "client_left")], ids=["alone", "left"])
def test_it_is_settled_as_if_its_owner_had_read_it(house, sim, make, end):
    spent = f"SELECT sum(cost_nanos) AS nanos FROM rollups WHERE user_id = {house.users['bob']}"
    with with_prices(house):
        before = int(house.rows(spent)[0]["nanos"] or 0)
        with limited(house, who="bob", money_day=before + 15_000_000):
            made_id, request_id = make(house, "background=0.3,events=6,gap=0.05", who="bob")
            record = until(lambda: known(house, request_id), seconds=20)
            assert (record["end"], record["input_tokens"], record["output_tokens"]) == (end, 9, 13)
            assert record["cost_nanos"] == COST
            assert int(house.rows(spent)[0]["nanos"]) == before + COST
            until(lambda: used(house, "bob") == before + COST, seconds=4)
    count = len(asks(sim, made_id))
    time.sleep(2)  # there was a turn meanwhile, had it not been settled
    assert len(asks(sim, made_id)) == count >= 1


def test_what_the_provider_tells_wrongly_leaves_one_pending_and_the_others_go_on(house, sim):
    faults = ["not_found_endpoint", "status=500", "status=404", "broken_json", "html", "empty_body"]
    faults.append(f"redirect:{sim.url}/v1/elsewhere")
    wrong = [made(house, "background=0.3", who="carol") for _ in faults]
    for (made_id, _), fault in zip(wrong, faults, strict=True):
        sim.control("POST", "faults", {"fault": fault, "path": made_id})
    _, request_id = made(house, "background=0.3", who="carol")
    until(lambda: known(house, request_id), seconds=20)
    until(lambda: all(asks(sim, made_id) for made_id, _ in wrong), seconds=20)
    assert {house.record(request_id)["end"] for _, request_id in wrong} == {"pending"}
    told = [line for line in house.lines() if line["event"] == "background_not_asked"]
    assert 0 < len(told) < 10
    sim.control("DELETE", "faults")
    until(lambda: all(known(house, request_id) for _, request_id in wrong), seconds=40)
    assert not [each for each in sim.requests() if each["path"].endswith("elsewhere")]


def test_while_its_upstream_is_disabled_nobody_asks(house, sim):
    made_id, request_id = made(house, "background=3")
    main = house.upstreams["main"]
    house.changed(lambda: upstreams.set_enabled(main, enabled=False, actor=None))
    try:
        count = len(asks(sim, made_id))
        time.sleep(5)  # past the turn at the age of four seconds
        assert len(asks(sim, made_id)) == count
        assert house.record(request_id)["end"] == "pending"
    finally:
        house.changed(lambda: upstreams.set_enabled(main, enabled=True, actor=None))
    until(lambda: known(house, request_id), seconds=20)


def made_before(house, age_s):
    """A response that goes on, and was made so long ago."""
    made_id, request_id = made(house, "background=600")
    house.record(request_id)
    at = utcnow() - timedelta(seconds=age_s)
    with house.app.app_context():
        db.session.execute(update(OwnedObject).where(OwnedObject.object_id == made_id).values(created_at=at))
        db.session.execute(update(Record).where(Record.request_id == request_id).values(at=at))
        db.session.commit()
        db.session.remove()
    return made_id


def test_for_a_day_it_is_asked_for_and_then_no_more(house, sim):
    last = pending.LIFE_S - pending.LAST_S
    too_old, old = made_before(house, last + 3600), made_before(house, last - 2)
    before = len(asks(sim, old)), len(asks(sim, too_old))
    until(lambda: len(asks(sim, old)) > before[0], seconds=20)
    time.sleep(1)
    assert (len(asks(sim, old)), len(asks(sim, too_old))) == (before[0] + 1, before[1])


def test_of_all_workers_of_all_hosts_one_asks(hosts, sim):
    began = time.monotonic()
    mine = [made(host, "background=600")[0] for host in hosts for _ in range(5)]
    until(lambda: all(len(asks(sim, made_id)) >= 3 for made_id in mine), seconds=30)
    turns = sum(age <= time.monotonic() - began for age in AGES_S)
    assert {len(asks(sim, made_id)) for made_id in mine} <= {3, turns}
