"""The picture of the configuration, as it is read from the database."""

from datetime import timedelta

import pytest
from structlog.testing import CapturingLogger

from app.extensions import db
from app.models import Token, Upstream
from app.models.base import utcnow
from app.protocol.price import Rates, Tariff
from app.services import accounts, catalog, prices, snapshot, tokens, upstreams
from app.services.vault import Vault
from tests.conftest import VAULT_KEY

pytestmark = pytest.mark.any_database


def new_upstream(name, *, kind="openai", key="sk-x", priority=0):
    return upstreams.create(
        name=name, kind=kind, base_url="http://127.0.0.1:9/v1", key=key, priority=priority, weight=1, actor=None
    )


def load(*digests, vault_key=VAULT_KEY):
    with db.engine.connect() as connection:
        return snapshot.load(connection, 7, vault=Vault([vault_key]), mark_key="m" * 32, digests=digests)


def test_an_empty_configuration_is_an_empty_picture(ctx):
    assert load() == snapshot.Snapshot(7, {}, {}, (), {})


def test_upstreams_come_with_the_credentials_that_can_be_used(ctx):
    one = new_upstream("one", priority=3)
    second = upstreams.add_credential(one.id, name="b", key="sk-b", actor=None)
    third = upstreams.add_credential(one.id, name="c", key="sk-c", actor=None)
    upstreams.set_credential_enabled(second.id, enabled=False, actor=None)
    entry = load().upstreams[one.id]
    assert (entry.kind, entry.enabled, entry.priority) == ("openai", True, 3)
    assert [place.secret for place in entry.places.values()] == ["sk-x", "sk-c"]
    assert third.id in entry.places
    assert entry.resting == {second.id}


def test_an_upstream_that_wants_no_key_has_a_place_without_one(ctx):
    one = new_upstream("local", key=None)
    (place,) = load().upstreams[one.id].places.values()
    assert place.secret == ""


@pytest.mark.acceptance("E-5")
@pytest.mark.parametrize("spoil", ["another vault key", "another address"])
def test_a_secret_that_does_not_open_is_left_out_and_told_to_the_log(ctx, monkeypatch, spoil):
    one = new_upstream("one")
    if spoil == "another address":
        db.session.get(Upstream, one.id).base_url = "http://evil.example/v1"
        db.session.commit()
    log = CapturingLogger()
    monkeypatch.setattr(snapshot, "log", log)
    entry = load(vault_key="x" * 40 if spoil == "another vault key" else VAULT_KEY).upstreams[one.id]
    assert entry.places == {}
    assert len(entry.resting) == 1
    assert [call.args for call in log.calls] == [("credential_unusable",)]
    assert "sk-x" not in str(log.calls)


def test_models_come_with_their_routes_the_best_first(ctx):
    low, high = new_upstream("low"), new_upstream("high", priority=5)
    for one in (low, high):
        catalog.import_models(one.id, {"m": None, "p-*": None, "p-long-*": None}, actor=None)
    entry = load().models["m"]
    assert [route.upstream.id for route in entry.routes] == [high.id, low.id]
    model = next(m for m in catalog.list_models() if m.name == "m")
    catalog.set_route(model.id, upstream_id=low.id, upstream_model="theirs", priority=9, actor=None)
    routes = load().models["m"].routes
    assert [(route.upstream.id, route.upstream_model) for route in routes] == [(low.id, "theirs"), (high.id, "")]
    catalog.set_route(model.id, upstream_id=low.id, priority=9, enabled=False, actor=None)
    assert [route.enabled for route in load().models["m"].routes] == [False, True]
    catalog.set_model_enabled(model.id, enabled=False, actor=None)
    picture = load()
    assert "m" not in picture.models
    assert [prefix for prefix, _ in picture.patterns] == ["p-long-", "p-"]
    assert picture.model("p-long-x").name == "p-long-*"
    assert picture.model("p-x").name == "p-*"
    assert picture.model("q") is None


def test_a_disabled_model_is_paid_at_its_price_until_something_else_serves_its_name(ctx):
    one, rates = new_upstream("one"), [Tariff(Rates(input=n, output=n)) for n in range(3)]
    catalog.import_models(one.id, {"m": None, "p-*": None, "p-x": None}, actor=None)
    for n, name in enumerate(("m", "p-*", "p-x")):
        model = catalog.find_model(name)
        prices.put(model.id, rates[n], actor=None)
        catalog.set_model_enabled(model.id, enabled=name == "p-*", actor=None)
    picture = load()
    assert picture.model("m") is None
    told = [[price.standard for price in picture.prices(name)] for name in ("m", "p-x", "q")]
    assert told == [[rates[0]], [rates[1]], []]


def test_tokens_that_were_met_come_again_if_they_are_good(alice, bob):
    good = tokens.mint(alice, name="good", models=["a"], actor=alice).secret
    late = tokens.mint(alice, name="late", actor=alice, expires_at=utcnow() + timedelta(hours=1))
    revoked = tokens.mint(alice, name="revoked", actor=alice)
    disabled = tokens.mint(bob, name="disabled", actor=bob).secret
    tokens.revoke(revoked.token.id, actor=alice, owner=alice)
    accounts.set_disabled(bob.id, disabled=True, actor=None)
    asked = [tokens.digest(secret) for secret in (good, late.secret, revoked.secret, disabled, "unknown")]
    callers = load(*asked).callers
    assert set(callers) == set(asked[:2])
    assert (callers[asked[0]].user_id, callers[asked[0]].models) == (alice.id, ("a",))
    assert callers[asked[1]].expires_at > utcnow().timestamp()
    row = db.session.get(Token, late.token.id)
    row.expires_at = utcnow()
    db.session.commit()
    assert set(load(*asked).callers) == {asked[0]}


def test_many_tokens_are_asked_for_in_portions(alice):
    good = tokens.digest(tokens.mint(alice, name="good", actor=alice).secret)
    asked = [f"{n:064x}" for n in range(2 * snapshot.CHUNK)]
    assert set(load(*asked, good).callers) == {good}


def test_a_users_mark_is_the_same_for_all_their_tokens(alice, bob):
    secrets = [tokens.mint(user, name="x", actor=user).secret for user in (alice, alice, bob)]
    marks = [caller.owner_mark for caller in load(*map(tokens.digest, secrets)).callers.values()]
    assert len(marks) == 3
    assert len(set(marks)) == 2
