"""Proxies of upstreams: kept, sealed to their address, and never gone around when they can't be used."""

from dataclasses import replace

import pytest

from app.extensions import db
from app.models import AuditEntry, Upstream
from app.services import policies, upstreams
from app.services.context import context
from app.services.fields import FieldError
from app.services.policies import PolicyError
from app.services.proxies import NoWayError, proxy_to, way_to
from app.services.resealing import reseal
from app.services.trial import try_out
from app.services.vault import Vault, VaultError
from tests.conftest import VAULT_KEY
from tests.proxying import proxy as running

pytestmark = pytest.mark.any_database
ADDRESS, LOGIN = "http://proxy.example:3128", "user:geheim"


def add(**more):
    fields = {"name": "a", "kind": "openai", "base_url": "", "key": "sk-secret", "priority": 0, "weight": 1}
    return upstreams.create(**fields | {"actor": None} | more)


def changed_by_hand(**values):
    db.session.execute(db.update(Upstream).values(**values))
    db.session.execute(db.text("UPDATE meta SET value = value + 1 WHERE name = 'generation'"))
    db.session.commit()


def entry_of(upstream):
    directory = context().directory
    directory.refresh()
    return directory.snapshot.upstreams[upstream.id]


def test_every_place_of_an_upstream_has_its_proxy(ctx):
    made = add(proxy=ADDRESS, proxy_login=LOGIN)
    (place,) = entry_of(made).places.values()
    assert (str(place.proxy), place.proxy.login) == (ADDRESS, LOGIN)
    assert made.policy == {"proxy": ADDRESS}
    assert b"geheim" not in made.proxy_login
    policies.set_proxy(made.id, "", actor=None)
    assert next(iter(entry_of(made).places.values())).proxy is None
    assert (upstreams.get(made.id).policy, upstreams.get(made.id).proxy_login) == (None, None)


@pytest.mark.parametrize(
    ("text", "login", "kept"),
    [
        ('{"proxy": "http://proxy.example:3128", "store": false}', None, LOGIN),
        ('{"proxy": "http://proxy.example:3129"}', None, ""),
        ('{"proxy": "https://proxy.example:3128"}', None, ""),
        ('{"proxy": "http://proxy.example:3128"}', "", ""),
        ('{"proxy": "http://proxy.example:3128"}', "other:one", "other:one"),
    ],
)
def test_a_login_is_kept_for_its_proxy_alone(ctx, text, login, kept):
    made = add(proxy=ADDRESS, proxy_login=LOGIN)
    policies.save(made.id, text, actor=None, proxy_login=login)
    assert proxy_to(upstreams.get(made.id), context().vault).login == kept


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"proxy": "proxy.example:3128"}, "proxy"),
        ({"proxy": "http://user:geheim@proxy.example:3128"}, "proxy"),
        ({"proxy_login": LOGIN}, "proxy_login"),
        ({"proxy": ADDRESS, "proxy_login": "user"}, "proxy_login"),
        ({"proxy": ADDRESS, "proxy_login": "user:pass\r\nx-evil: 1"}, "proxy_login"),
    ],
)
def test_what_can_be_no_proxy_is_refused_when_it_is_saved(ctx, fields, field):
    with pytest.raises(FieldError) as refused:
        add(**fields)
    assert refused.value.field == field
    assert "geheim" not in str(refused.value)
    db.session.rollback()
    made = add()
    with pytest.raises(PolicyError):
        policies.set_proxy(made.id, fields.get("proxy", ""), actor=None, proxy_login=fields.get("proxy_login"))
    assert upstreams.get(made.id).policy is None


def test_the_audit_tells_of_a_login_but_not_what_it_is(ctx):
    made = add()
    policies.set_proxy(made.id, ADDRESS, actor=None, proxy_login=LOGIN)
    entry = db.session.scalars(db.select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry.after == {"proxy": ADDRESS, "proxy_login": "…"}
    assert "geheim" not in policies.as_text(upstreams.get(made.id))


@pytest.mark.acceptance("E-5")
@pytest.mark.parametrize(
    "spoiled",
    [
        {"policy": {"proxy": "http://evil.example:3128"}},
        {"policy": {"proxy": "direct"}},
        {"policy": {"proxy": "http://evil.example"}},
        {"proxy_login": b"junk"},
    ],
    ids=str,
)
def test_a_row_that_was_changed_by_hand_is_called_in_no_way_at_all(ctx, spoiled):
    made = add(proxy=ADDRESS, proxy_login=LOGIN)
    changed_by_hand(**spoiled)
    entry = entry_of(made)
    assert (entry.enabled, entry.places) == (False, {})
    with pytest.raises(NoWayError):
        way_to(upstreams.get(made.id), context().vault)
    (step,) = try_out(upstreams.get(made.id))
    assert (step.name, step.ok) == ("address", False)


def test_resealing_takes_the_logins_along(app, ctx):
    made, new_key = add(proxy=ADDRESS, proxy_login=LOGIN), "a-newer-vault-key-for-tests-long-enough"
    app.extensions["realms"] = replace(context(), vault=Vault([new_key, VAULT_KEY]))
    assert reseal(actor=None) == (2, [])
    sealed = upstreams.get(made.id).proxy_login
    assert Vault([new_key]).open(sealed, origin=ADDRESS) == LOGIN
    with pytest.raises(VaultError):
        Vault([VAULT_KEY]).open(sealed, origin=ADDRESS)


def test_a_dry_run_names_the_proxy_without_its_login(ctx):
    made = add(proxy=ADDRESS, proxy_login=LOGIN)
    told = policies.dry_run(made, policies.as_text(made), endpoint="chat.create", body='{"model": "m"}')
    assert f"Through the proxy {ADDRESS}" in told
    assert "geheim" not in told


def test_an_upstream_is_tested_and_its_models_are_asked_for_through_its_proxy(ctx, provider, tmp_path):
    with running(tmp_path, "socks5", login=LOGIN) as proxy:
        made = add(base_url=provider.url, proxy=proxy.address, proxy_login=LOGIN)
        assert [step.ok for step in try_out(upstreams.get(made.id))] == [True] * 4
        assert upstreams.remote_models(made.id)
        to = provider.url.removeprefix("http://")
        assert {note["to"] for note in proxy.seen()} == {to}
        policies.set_proxy(made.id, proxy.address, actor=None, proxy_login="user:wrong")
        *_, step = try_out(upstreams.get(made.id))
        assert (step.name, step.ok) == ("connection", False)
        assert proxy.address in step.detail
        assert "wrong" not in step.detail
