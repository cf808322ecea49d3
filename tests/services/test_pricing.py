"""Prices come out of the database as they went in, and a record is paid at what was in force when it began."""

from datetime import UTC, datetime

import pytest

from app.extensions import db
from app.models import Model, Price
from app.protocol.price import Rates, Tariff, Tier, at
from app.services import pricing

pytestmark = pytest.mark.any_database
PLAIN = Tariff(Rates(input=3_000_000_000, output=15_000_000_000))
TIERED = Tariff(PLAIN.rates, (Tier(200_000, Rates(input=6_000_000_000, output=22_500_000_000)),))


def version(model_id, year, tariff, **services):
    moment = datetime(year, 1, 1, tzinfo=UTC)
    db.session.add(Price(model_id=model_id, valid_from=moment, tariffs=pricing.written(tariff, services)))
    db.session.commit()
    return moment.timestamp()


@pytest.mark.parametrize(("name", "found"), [("gpt-5", 1), ("gpt-5-mini", 2), ("gpt-4", 3), ("o1", None)])
def test_a_name_goes_by_its_own_entry_else_by_the_longest_pattern(name, found):
    assert pricing.named({"gpt-*": 3, "gpt-5": 1, "gpt-5*": 2}, name) == found


def test_a_models_prices_are_read_newest_first(ctx):
    model = Model(name="m")
    db.session.add(model)
    db.session.commit()
    old = version(model.id, 2026, PLAIN)
    new = version(model.id, 2027, TIERED, flex=PLAIN)
    with db.engine.connect() as connection:
        prices = pricing.by_model(connection)[model.id]
    assert [price.valid_from for price in prices] == [new, old]
    assert (prices[0].standard, prices[0].services) == (TIERED, {"flex": PLAIN})
    assert [at(prices, moment) for moment in (new, new - 1, old - 1)] == [prices[0], prices[1], None]
