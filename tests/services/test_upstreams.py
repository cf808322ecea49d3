from dataclasses import replace

import pytest
from sqlalchemy import func, select, text, update

from app.extensions import db
from app.models import AuditEntry, Credential, Route, Upstream
from app.services import catalog, upstreams
from app.services.context import context
from app.services.resealing import reseal
from app.services.trial import try_out
from app.services.upstreams import UpstreamError
from app.services.vault import Vault, VaultError
from tests.conftest import VAULT_KEY
from tests.racing import together

pytestmark = pytest.mark.any_database
KEY = "sk-proj-0123456789abcdef"


def add(**changed):
    given = {"name": "main", "kind": "openai", "base_url": "https://api.example.com/v1", "key": KEY}
    return upstreams.create(**{**given, "priority": 0, "weight": 1, "actor": None, **changed})


def edit(upstream, **changed):
    kept = {name: getattr(upstream, name) for name in ("name", "base_url", "priority", "weight")}
    return upstreams.update(upstream.id, actor=None, **{**kept, **changed})


def opened(credential, upstream):
    return context().vault.open(credential.sealed, origin=upstream.base_url)


def steps_of(upstream_id):
    return try_out(upstreams.get(upstream_id))


def refused(work, *args, **kwargs):
    with pytest.raises(UpstreamError) as caught:
        work(*args, **kwargs)
    return caught.value


def test_a_new_upstream_has_one_sealed_credential(ctx):
    upstream = add()
    (credential,) = upstream.credentials
    assert (credential.last4, credential.enabled) == ("cdef", True)
    assert opened(credential, upstream) == KEY


@pytest.mark.acceptance("J-5")
def test_the_key_stands_nowhere_in_clear(ctx):
    edit(add(), key=KEY + "2")
    for table in ("upstreams", "credentials", "audit_entries"):
        assert "0123456789" not in repr(db.session.execute(text(f"SELECT * FROM {table}")).all())


def test_an_upstream_may_want_no_key(ctx):
    upstream = add(key=None)
    assert opened(upstream.credentials[0], upstream) == ""
    assert upstream.credentials[0].last4 == ""


def test_the_vendors_address_is_the_default(ctx):
    assert add(name="a", kind="openai", base_url="").base_url == "https://api.openai.com/v1"
    assert add(name="b", kind="anthropic", base_url="").base_url.startswith("https://api.anthropic.com")


def test_of_a_short_key_nothing_is_shown(ctx):
    assert add(key="short").credentials[0].last4 == ""


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"kind": "gopher"}, "kind"),
        ({"base_url": "ftp://example.com"}, "base_url"),
        ({"key": ""}, "key"),
        ({"key": "two words"}, "key"),
        ({"key": "new\nline"}, "key"),
        ({"key": "schlüssel"}, "key"),
        ({"weight": 0}, "weight"),
        ({"priority": 10**10}, "priority"),
    ],
)
def test_what_cannot_be_an_upstream_is_refused_at_its_field(ctx, wrong, field):
    assert refused(add, **wrong).field == field
    assert upstreams.list_all() == []


def test_a_name_is_given_once(ctx):
    add()
    other = add(name="other")
    assert refused(add).field == "name"
    assert refused(edit, other, name="main").field == "name"
    assert edit(other, name="other").name == "other"


def test_of_two_who_add_the_same_name_at_once_one_succeeds(app, ctx):
    results = together(app, lambda: add().id, lambda: add().id)
    assert sorted(type(result).__name__ for result in results) == ["UpstreamError", "int"]


def test_an_edit_that_keeps_the_origin_keeps_the_key(ctx):
    upstream = edit(add(), name="renamed", base_url="https://API.example.com:443/other", priority=5, weight=9)
    assert (upstream.name, upstream.base_url, upstream.priority, upstream.weight) == (
        "renamed",
        "https://api.example.com:443/other",
        5,
        9,
    )
    assert opened(upstream.credentials[0], upstream) == KEY


@pytest.mark.acceptance("D-10")
@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example.com/v1", "http://api.example.com/v1", "https://api.example.com:444/v1"]
)
@pytest.mark.parametrize("key", [None, ""])
def test_another_origin_needs_the_key_again(ctx, elsewhere, key):
    upstream = add()
    assert refused(edit, upstream, base_url=elsewhere, key=key).field == "key"
    assert upstreams.get(upstream.id).base_url == "https://api.example.com/v1"


def test_with_the_key_entered_again_an_upstream_moves_and_its_other_credentials_wait(ctx):
    upstream = add()
    upstreams.add_credential(upstream.id, name="second", key="sk-second-0123456789", actor=None)
    upstream = edit(upstream, base_url="https://moved.example.com", key="sk-new-0123456789ab")
    first, second = upstream.credentials
    assert opened(first, upstream) == "sk-new-0123456789ab"
    assert (first.enabled, second.enabled) == (True, False)
    with pytest.raises(VaultError):
        opened(second, upstream)
    upstreams.replace_credential(second.id, key="sk-second-0123456789", actor=None)
    upstreams.set_credential_enabled(second.id, enabled=True, actor=None)
    second = upstreams.get(upstream.id).credentials[1]
    assert (opened(second, upstream), second.enabled) == ("sk-second-0123456789", True)


def test_an_upstream_without_a_key_moves_freely(ctx):
    upstream = edit(add(key=None), base_url="http://elsewhere.example.com")
    assert opened(upstream.credentials[0], upstream) == ""


def test_a_given_key_replaces_the_first_credential(ctx):
    upstream = edit(add(), key="sk-other-0123456789ab")
    assert opened(upstream.credentials[0], upstream) == "sk-other-0123456789ab"
    upstreams.delete_credential(upstream.credentials[0].id, actor=None)
    upstream = edit(upstream, key="sk-third-0123456789ab")
    assert [opened(each, upstream) for each in upstream.credentials] == ["sk-third-0123456789ab"]


def test_an_upstream_without_credentials_moves_and_still_has_none(ctx):
    upstream = add()
    upstreams.delete_credential(upstream.credentials[0].id, actor=None)
    assert edit(upstream, base_url="https://moved.example.com").credentials == []


def test_upstreams_and_credentials_are_left_out_and_used_again(ctx):
    upstream = add()
    assert upstreams.set_enabled(upstream.id, enabled=False, actor=None).enabled is False
    assert upstreams.set_enabled(upstream.id, enabled=True, actor=None).enabled is True
    upstreams.set_credential_enabled(upstream.credentials[0].id, enabled=False, actor=None)
    assert upstreams.by_name("main").credentials[0].enabled is False


def test_a_deleted_upstream_takes_its_credentials_and_routes_along(ctx):
    upstream, other = add(), add(name="other")
    for each in (upstream, other):
        catalog.import_models(each.id, {"m": None}, actor=None)
    upstreams.delete(upstream.id, actor=None)
    assert [each.name for each in upstreams.list_all()] == ["other"]
    for row in (Credential, Route):
        assert db.session.scalar(select(func.count()).select_from(row)) == 1
    assert [route.upstream.name for route in catalog.list_models()[0].routes] == ["other"]


def test_the_number_of_a_deleted_upstream_or_credential_is_never_given_again(ctx):
    """What was stored there names it by number, and must not lead to another upstream or key."""
    upstream = add()
    number, credential = upstream.id, upstream.credentials[0].id
    upstreams.delete(number, actor=None)
    again = add()
    assert again.id > number
    assert again.credentials[0].id > credential


@pytest.mark.acceptance("D-7")
def test_every_change_stands_in_the_audit_with_its_actor(admin):
    upstream = add(actor=admin)
    upstreams.set_enabled(upstream.id, enabled=False, actor=admin)
    credential = upstreams.add_credential(upstream.id, name="second", key=KEY, actor=admin)
    upstreams.replace_credential(credential.id, key=KEY, actor=admin)
    upstreams.set_credential_enabled(credential.id, enabled=False, actor=admin)
    upstreams.delete_credential(credential.id, actor=admin)
    upstreams.delete(upstream.id, actor=admin)
    rows = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id).offset(1)).all()
    assert [(row.action, row.target) for row in rows] == [
        ("upstream.create", "upstream main"),
        ("upstream.disable", "upstream main"),
        ("credential.create", "credential main/second"),
        ("credential.replace", "credential main/second"),
        ("credential.disable", "credential main/second"),
        ("credential.delete", "credential main/second"),
        ("upstream.delete", "upstream main"),
    ]
    assert {row.actor_id for row in rows} == {admin.id}


def test_changing_what_does_not_exist_is_refused_and_told_to_nobody(ctx):
    refused(upstreams.set_enabled, 99, enabled=False, actor=None)
    refused(upstreams.delete, 99, actor=None)
    refused(upstreams.add_credential, 99, name="x", key=KEY, actor=None)
    refused(upstreams.delete_credential, 99, actor=None)
    assert (upstreams.get(99), upstreams.by_name("\x7f")) == (None, None)
    assert db.session.scalar(select(func.count()).select_from(AuditEntry)) == 0


@pytest.mark.acceptance("D-4")
def test_a_test_that_succeeds_tells_every_step(ctx, provider):
    provider.key = KEY
    steps = steps_of(add(base_url=provider.url).id)
    assert [(step.name, step.ok) for step in steps] == [
        ("address", True),
        ("connection", True),
        ("tls", True),
        ("authentication", True),
    ]
    assert "2 models" in steps[-1].detail
    assert steps[-1].ms >= 0
    assert [path for path, _headers in provider.seen] == ["/v1/models"]


def test_the_models_of_an_upstream_are_its_own_list(ctx, provider):
    provider.models = ["b", "a"]
    assert upstreams.remote_models(add(base_url=provider.url).id) == ["a", "b"]


def test_an_anthropic_upstream_gets_its_key_its_own_way(ctx, provider):
    provider.key = KEY
    assert upstreams.remote_models(add(kind="anthropic", base_url=provider.url).id) == ["m-1", "m-2"]
    _path, headers = provider.seen[0]
    assert {name.lower(): value for name, value in headers.items()}["x-api-key"] == KEY


@pytest.mark.acceptance("D-4")
@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (302, b"", "redirect"),
        (403, b"", "refuses this key"),
        (404, b"", "Check the base URL"),
        (500, b"oops \x1b[31m", "500: oops"),
        (200, b"<html>", "isn't a list of models"),
        (200, b"{}", "isn't a list of models"),
        (200, b"[" * 100_000, "isn't a list of models"),
    ],
)
def test_a_test_says_what_the_upstream_answered_wrongly(ctx, provider, status, body, told):
    provider.status, provider.body, provider.headers = status, body, {"location": "http://127.0.0.1:1/"}
    upstream = add(base_url=provider.url)
    last = steps_of(upstream.id)[-1]
    assert (last.name, last.ok) == ("authentication", False)
    assert told in last.detail
    assert last.detail.isprintable()
    assert told in str(refused(upstreams.remote_models, upstream.id))


@pytest.mark.acceptance("D-4")
def test_a_refused_key_is_told_and_never_repeated(ctx, provider):
    provider.key = "another"
    assert "refuses this key (401)" in steps_of(add(base_url=provider.url).id)[-1].detail
    provider.key, provider.status, provider.body = None, 500, f"Incorrect key: {KEY}".encode()
    detail = steps_of(add(name="echo", base_url=provider.url).id)[-1].detail
    assert KEY not in detail
    assert "Incorrect key: …" in detail


@pytest.mark.acceptance("D-4")
@pytest.mark.parametrize(
    ("base_url", "failing"),
    [
        ("http://127.0.0.1:1", "connection"),
        ("http://169.254.169.254", "address"),
        ("http://10.0.0.1", "address"),
        ("http://nowhere.invalid", "address"),
    ],
)
def test_a_test_says_how_far_it_came(ctx, base_url, failing):
    steps = steps_of(add(base_url=base_url).id)
    assert [step.name for step in steps if not step.ok] == [failing]
    assert steps[-1].name == failing
    assert steps[-1].detail


@pytest.mark.acceptance("E-5")
def test_a_credential_in_a_row_that_was_moved_by_hand_is_not_sent(ctx, provider):
    upstream = add()
    db.session.execute(update(Upstream).values(base_url=provider.url))
    db.session.commit()
    (step,) = steps_of(upstream.id)
    assert (step.name, step.ok) == ("authentication", False)
    assert "another address" in step.detail
    assert provider.seen == []


def test_an_upstream_without_an_enabled_credential_is_not_called(ctx, provider):
    upstream = add(base_url=provider.url)
    upstreams.set_credential_enabled(upstream.credentials[0].id, enabled=False, actor=None)
    (step,) = steps_of(upstream.id)
    assert "no enabled credential" in step.detail
    assert provider.seen == []


def test_resealing_lets_the_old_key_go_and_names_what_no_key_opens(app, ctx):
    upstream = add()
    new_key = "a-newer-vault-key-for-tests-long-enough"
    foreign = Vault(["a-vault-key-of-somebody-else-long-enough"]).seal("x", origin=upstream.base_url)
    db.session.add(Credential(upstream_id=upstream.id, name="foreign", sealed=foreign))
    db.session.commit()
    app.extensions["realms"] = replace(context(), vault=Vault([new_key, VAULT_KEY]))
    assert reseal(actor=None) == (1, ["main/foreign"])
    sealed = upstreams.get(upstream.id).credentials[0].sealed
    assert Vault([new_key]).open(sealed, origin=upstream.base_url) == KEY
    with pytest.raises(VaultError):
        Vault([VAULT_KEY]).open(sealed, origin=upstream.base_url)
