"""A house with life in it, for looking at: a week of requests, limits, prices, an upstream that is left out for a while."""

from datetime import timedelta

from app.extensions import db
from app.models import Record
from app.models.base import utcnow
from app.protocol import record as values
from app.protocol.limit import Measure
from app.protocol.price import Rates, Tariff, at, bill
from app.protocol.record import Attempt, End
from app.protocol.usage import from_object
from app.services import (
    accounts,
    allowances,
    announcements,
    catalog,
    choices,
    posting,
    prices,
    pricing,
    tokens,
    upstreams,
)
from tests import live

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}"
"""What somebody might type into every field that is shown to others."""
MODELS = (("gpt-5", "main", 1.25, 10), ("gpt-5-mini", "main", 0.25, 2), ("claude-opus-5", "claude", 5, 25))
FAILURES = (
    (429, End.REFUSED, "rate_limit_exceeded"),
    (502, End.REFUSED, "upstream_error"),
    (200, End.UPSTREAM_CUT, "upstream_error"),
)
HOURS = 24 * 7


def furnish(house):
    """Give everybody in the house something to do."""
    admin = accounts.by_email("admin@example.com")
    choices.choose(choices.Choices(registration="open", mail_domains="*"), actor=admin)
    for name in ("alice", "bob", "carol", "admin"):
        user = accounts.by_email(f"{name}@example.com")
        accounts.update_user(user.id, name=name.title(), role=user.role, actor=admin)
    for name, upstream, read, written in MODELS:
        theirs = "claude-sim-1" if upstream == "claude" else "sim-1"
        catalog.import_models(house.upstreams[upstream], {name: theirs}, actor=admin)
        rates = Rates(input=int(read * 10**9), cache_read=int(read * 10**8), output=written * 10**9)
        prices.put(catalog.find_model(name).id, Tariff(rates), actor=admin)
    alice = accounts.by_email("alice@example.com")
    allowances.put("user", alice.id, most={Measure.MONTH: 60 * 10**9, Measure.DAY: 6 * 10**9}, actor=admin)
    first, second = sorted(token.id for token in tokens.list_for(alice))
    allowances.put("token", second, most={Measure.REQUESTS: 60}, model="gpt-5-mini", actor=admin)
    tokens.update(tokens.get_for(alice, first), name="laptop", expires_at=None, models=None, networks=[], actor=alice)
    tokens.update(
        tokens.get_for(alice, second), name="build server", expires_at=utcnow() + timedelta(days=60),
        models=["gpt-5-mini"], networks=["10.20.0.0/16"], actor=alice,
    )  # fmt: skip
    announcements.announce("On Sunday from 8 to 9 the build server's upstream is away.", days=7, actor=admin)
    with db.engine.begin() as connection:
        known = pricing.by_model(connection)
        priced = {model.name: known.get(model.id, ()) for model in catalog.list_models()}
        posting.post(connection, list(_week(house, priced)), again=False)
    db.session.remove()


def _week(house, priced):
    """A week of requests: by day more than at night, some of them failed."""
    now = utcnow().timestamp()
    number = 0
    for hour in range(HOURS):
        for _ in range(1 + (hour * 7 + hour // 5) % 9 * (1 if 8 <= hour % 24 <= 19 else 0)):
            number += 1
            yield _record(house, number, now - hour * 3600 - number * 37 % 3000, priced)


def _record(house, number, moment, priced):
    model, upstream, _read, _written = MODELS[number * number % 3]
    who = ("alice", "alice", "bob", "carol", "admin")[number % 5]
    status, end, reason = FAILURES[number % 3] if number % 23 == 0 else (200, End.COMPLETED, "")
    usage = from_object(
        {
            "input_tokens": 900 + number * 97 % 9000,
            "output_tokens": 40 + number * 31 % 900,
            "input_tokens_details": {"cached_tokens": number * 61 % 800},
        }
    )
    first = 280 + number * 13 % 900
    place = {"upstream_id": house.upstreams[upstream], "credential_id": house.upstreams[upstream]}
    told = values.Record(
        id=f"{number:032x}", at=moment, request_id=f"req_{number:06x}", user_id=house.users[who],
        token_id=1 + ("admin", "alice", "bob", "carol").index(who) + (number % 2 if who == "alice" else 0),
        endpoint="messages.create" if upstream == "claude" else "responses.create",
        protocol="anthropic" if upstream == "claude" else "openai", model=model, upstream_model=model, stream=number % 3 > 0,
        status=status, end=end, reason=reason, first_byte_ms=first, first_content_ms=first + 40, total_ms=first * 7,
        bytes_in=4000, bytes_out=9000, usage=usage, conversation=f"{number // 6:032x}",
        attempts=(
            *([Attempt(**place, status=503, error="overloaded", total_ms=90)] if number % 19 == 0 else []),
            Attempt(**place, status=status, error=reason, first_byte_ms=first, total_ms=first * 7, upstream_request_id="req_up"),
        ),
    )  # fmt: skip
    paid = bill(at(priced[model], moment), usage)
    return values.Record(
        **{name: getattr(told, name) for name in told.__struct_fields__} | {"cost": paid.cost, "price": paid.price}
    )


def vandalise(house):
    """Type into every field what would be a script if anything let it."""
    admin, alice = accounts.by_email("admin@example.com"), accounts.by_email("alice@example.com")
    mallory = accounts.create_user(email="mallory@example.com", password=live.PASSWORD, name=EVIL[:100], actor=admin)
    house.users["mallory"] = mallory.id
    house.tokens["mallory"] = tokens.mint(mallory, name=EVIL[:100], actor=mallory).secret
    for user in (alice, admin):
        tokens.mint(user, name=EVIL[:100], actor=user)
    evil = upstreams.create(
        name=EVIL[:100], kind="openai", base_url=house.provider.url, key="sim-evil", priority=0, weight=1, actor=admin
    )
    upstreams.add_credential(evil.id, name=EVIL[:100], key="sim-other", actor=admin)
    upstreams.create(name="chatgpt", kind="codex_oauth", base_url="", key=None, priority=0, weight=1, actor=admin)
    catalog.import_models(evil.id, {"sim-1": EVIL.replace(" ", "")[:200]}, actor=admin)
    announcements.announce(EVIL, days=7, actor=admin)
    shown = {"endpoint": "responses.create", "protocol": "openai", "status": 500, "end": "failed", "total_ms": 10}
    for user in (alice, admin, mallory):
        db.session.add(
            Record(
                id=f"evil-{user.id}", request_id=EVIL[:64], at=utcnow(), user_id=user.id, token_id=1, model=EVIL,
                reason=EVIL, **shown,
            )
        )  # fmt: skip
    db.session.commit()
    db.session.remove()
