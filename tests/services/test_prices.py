"""Prices are set by version, with an audit, and reach the workers' picture at once."""

from datetime import UTC, datetime

import pytest

from app.extensions import db
from app.models import Model
from app.protocol.price import Rates, Tariff
from app.services import audit, prices
from app.services.context import context

pytestmark = pytest.mark.any_database
CHEAP, DEAR = Tariff(Rates(input=1, output=2)), Tariff(Rates(input=10, output=20))


@pytest.fixture
def model(ctx):
    made = Model(name="m")
    db.session.add(made)
    db.session.commit()
    return made


def test_the_first_price_counts_from_the_beginning_and_the_next_from_now_on(model):
    first = prices.put(model.id, CHEAP, actor=None)
    assert first.valid_from.year == 2020
    second = prices.put(model.id, DEAR, services={"flex": CHEAP}, actor=None)
    assert [price.id for price in prices.list_for(model.id)] == [second.id, first.id]
    in_force = context().directory.snapshot.models["m"].prices
    assert [price.standard for price in in_force] == [DEAR, CHEAP]
    assert in_force[0].services == {"flex": CHEAP}


def test_a_version_is_changed_in_its_place(model):
    day = datetime(2026, 5, 1, tzinfo=UTC)
    prices.put(model.id, CHEAP, valid_from=day, actor=None)
    prices.put(model.id, DEAR, valid_from=day, actor=None)
    (price,) = prices.list_for(model.id)
    assert price.tariffs["standard"]["rates"] == {"input": 10, "output": 20}
    entry = audit.list_entries()[0]
    assert (entry.action, entry.target) == ("price.set", "price of m")
    assert (entry.before["standard"]["rates"]["input"], entry.after["standard"]["rates"]["input"]) == (1, 10)


def test_a_price_is_taken_away(model):
    made = prices.put(model.id, CHEAP, actor=None)
    prices.delete(made.id, actor=None)
    assert prices.list_for(model.id) == []
    assert context().directory.snapshot.models["m"].prices == ()
    assert audit.list_entries()[0].action == "price.delete"


def test_what_is_not_there_has_no_price(ctx):
    with pytest.raises(prices.PriceError):
        prices.put(99, CHEAP, actor=None)
    with pytest.raises(prices.PriceError):
        prices.delete(99, actor=None)
