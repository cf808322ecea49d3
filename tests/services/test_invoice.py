"""The working of a cost adds up to it."""

import pytest

from app.extensions import db
from app.models import Record
from app.protocol.price import Price, Rates, Tariff, bill
from app.protocol.usage import from_object
from app.services import posting
from app.services.invoice import invoice
from tests.services.writing import record

pytestmark = pytest.mark.any_database
RAW = {
    "input_tokens": 10,
    "cache_read_input_tokens": 1000,
    "cache_creation_input_tokens": 20,
    "output_tokens": 5,
    "server_tool_use": {"web_search_requests": 2},
}
RATES = Rates(
    input=3_000_000_000,
    cache_read=300_000_000,
    cache_write_5m=3_750_000_000,
    output=15_000_000_000,
    web_search=10_000_000,
)


def kept(**more):
    with db.engine.begin() as connection:
        posting.post(connection, [record(1, **more)], again=False)
    return db.session.get(Record, record(1).id)


def test_every_kind_has_its_line_and_they_add_up(ctx):
    usage = from_object(RAW)
    paid = bill(Price(7, 0.0, Tariff(RATES)), usage)
    found = invoice(kept(usage=usage, cost=paid.cost, price=paid.price))
    assert [(line.kind, line.count, line.nanos) for line in found] == [
        ("input", 10, 30_000),
        ("cache_read", 1000, 300_000),
        ("cache_write_5m", 20, 75_000),
        ("output", 5, 75_000),
        ("web_search", 2, 20_000_000),
    ]
    assert sum(line.nanos for line in found) == paid.cost == 20_480_000


def test_without_a_price_there_is_nothing_to_show(ctx):
    assert invoice(kept(cost=None)) == []
