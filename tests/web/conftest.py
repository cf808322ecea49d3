"""Browsers for these tests, and one of everything that a page can be about."""

import pytest

from app.extensions import db
from app.protocol.price import Rates, Tariff
from app.services import accounts, posting, prices, upstreams
from tests.rooms import ALICE, admin_there, alice_there, people, stranger
from tests.rooms import furnished as furnished_by_hand
from tests.services.writing import record

__all__ = ["admin_there", "alice_there", "furnished_by_hand", "people", "stranger"]


@pytest.fixture
def furnished(app, furnished_by_hand):
    """As elsewhere, and a price of the first model and a request of Alice's: number 1 each; upstream 2 is signed in to."""
    with app.app_context():
        upstreams.create(name="c", kind="codex_oauth", base_url="", key=None, priority=0, weight=1, actor=None)
        prices.put(1, Tariff(Rates(input=1)), actor=None)
        alice = accounts.by_email(ALICE)
        with db.engine.begin() as connection:
            posting.post(connection, [record(1, user_id=alice.id)], again=False)
        db.session.remove()
    return furnished_by_hand
