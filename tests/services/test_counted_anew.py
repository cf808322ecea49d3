"""What was spent counts, whatever became meanwhile of the limit, its token and the prices: as the sums tell it."""

from datetime import timedelta
from itertools import count

import pytest

from app.extensions import db
from app.models import Model
from app.models.base import utcnow
from app.protocol.call import Call, Caller
from app.protocol.endpoints import BY_NAME
from app.protocol.envelope import parse
from app.protocol.limit import Measure
from app.protocol.price import Price, Rates, Tariff
from app.protocol.usage import from_object
from app.services import allowances, posting, prices, repricing, tokens
from app.services.counters import Counters
from app.services.limits import Limits
from app.services.snapshot import ModelEntry
from app.services.spent import Spent
from app.services.standing import Standings
from tests.services.writing import parts, record

pytestmark = pytest.mark.any_database
numbers = count(1)
USAGE = from_object({"input_tokens": 1, "output_tokens": 100})
TARIFF = Tariff(Rates(input=0, output=1_000_000_000))  # 1,000 nano-dollars a token
MONEY = (Measure.DAY, Measure.WEEK, Measure.MONTH, Measure.TOTAL)


class House:
    """One worker that counts, and those whose calls it counts."""

    def __init__(self, user):
        self.user = user
        entry = ModelEntry("m", "", 0, (), (Price(1, 0.0, TARIFF),))
        directory = parts(snapshot=parts(model={"m": entry}.get))
        self.counters, self.spent = Counters(), Spent(db.engine)
        self.limits = Limits(directory, self.counters, self.spent)

    def rules(self, token_id):
        with db.engine.connect() as connection:
            of_token = allowances.rules(connection, "token", {token_id}).get(token_id, ())
            return of_token + allowances.rules(connection, "user", {self.user.id}).get(self.user.id, ())

    def begin(self, token_id=1):
        caller = Caller(self.user.id, token_id, "mark", rules=self.rules(token_id))
        call = Call(
            id=f"{next(numbers):032x}",
            request_id="r",
            endpoint=BY_NAME["responses.create"],
            caller=caller,
            body=parse(b'{"model":"m","input":"x","max_output_tokens":500}'),
            model="m",
        )
        self.limits.acquire(call)
        return call

    def end(self, call):
        """Every call uses 100 tokens."""
        done = record(
            0,
            id=call.id,
            usage=USAGE,
            cost=100_000,
            user_id=self.user.id,
            token_id=call.caller.token_id,
            at=utcnow().timestamp(),
        )
        self.limits.settle(done)
        with db.engine.begin() as connection:
            posting.post(connection, [done], again=False)

    def call(self, token_id=1):
        self.end(self.begin(token_id))

    def used(self, token_id=1):
        return {each.rule.measure: each.used for each in Standings(self.counters, self.spent).of(self.rules(token_id))}


@pytest.fixture
def house(alice):
    return House(alice)


def limit(house, measure, most=10_000_000):
    allowances.put("user", house.user.id, most={measure: most} if most is not None else {}, actor=None)


@pytest.mark.parametrize("measure", MONEY)
def test_what_was_spent_while_there_was_no_limit_counts_under_the_next(house, measure):
    limit(house, measure)
    house.call()
    limit(house, measure, None)
    house.call()
    limit(house, measure)
    assert house.used() == {measure: 200_000}
    house.call()
    assert house.used() == {measure: 300_000}


def test_so_it_does_where_another_limit_stayed(house):
    for most in ({Measure.DAY: 10_000_000}, {}, {Measure.DAY: 10_000_000}):
        allowances.put("user", house.user.id, most={Measure.CONCURRENT: 5} | most, actor=None)
        house.call()
    assert house.used() == {Measure.CONCURRENT: 0, Measure.DAY: 300_000}


def test_a_limit_that_is_raised_or_lowered_counts_on_with_what_is_under_way(house):
    limit(house, Measure.DAY)
    call = house.begin()
    limit(house, Measure.DAY, 5_000_000)
    assert house.used() == {Measure.DAY: 500_000}
    house.end(call)
    assert house.used() == {Measure.DAY: 100_000}


def test_a_rotated_token_has_spent_what_the_old_one_spent_and_both_count_together(house):
    old = tokens.mint(house.user, name="x", actor=house.user).token
    allowances.put("token", old.id, most={Measure.TOTAL: 10_000_000, Measure.CONCURRENT: 3}, actor=None)
    house.call(old.id)
    lived = old
    for _ in range(2):
        lived = tokens.rotate(lived, overlap=timedelta(hours=1), actor=house.user, secret=tokens.new_secret()).token
        assert house.used(lived.id)[Measure.TOTAL] == 100_000
    under_way = [house.begin(token.id) for token in (old, lived)]
    assert house.used(old.id) == house.used(lived.id) == {Measure.CONCURRENT: 2, Measure.TOTAL: 1_100_000}
    for call in under_way:
        house.end(call)
    house.counters = Counters()  # a worker that has not counted yet
    assert house.used(lived.id)[Measure.TOTAL] == 300_000


def test_what_is_paid_again_at_other_prices_is_what_was_spent(house):
    model = Model(name="m")
    db.session.add(model)
    db.session.commit()
    limit(house, Measure.MONTH)
    house.call()
    prices.put(model.id, Tariff(Rates(input=0, output=3_000_000_000)), actor=None)
    repricing.apply(utcnow() - timedelta(hours=1), utcnow() + timedelta(hours=1), actor=None)
    assert house.used() == {Measure.MONTH: 300_000}
