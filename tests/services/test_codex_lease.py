"""Renewals: one at a time, none forgotten."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from sqlalchemy import func, select

from app.extensions import db
from app.models import AuditEntry, CodexAccount, Credential
from app.services import codex_connect, codex_lease, upstreams
from app.services.codex_lease import LEASE_S, Held, Leased, State
from app.services.context import context
from app.services.vault import Vault, VaultError
from app.upstreams.codex_account import Pass, Tokens

pytestmark = pytest.mark.any_database
NOW = 1_000_000.0
TOKENS = Tokens("at-1", "rt-1", "acc-1", NOW, NOW + 1000, "a@b.c", "plus")
FRESH = Tokens("at-2", "rt-2", "acc-1", NOW, NOW + 1000, "a@b.c", "pro")


@pytest.fixture
def credential(ctx):
    """The id of the one account's credential."""
    made = upstreams.create(name="c", kind="codex_oauth", base_url="", key=None, priority=0, weight=1, actor=None)
    codex_connect.connect(made.id, TOKENS, actor=None)
    found = db.session.scalar(select(Credential.id))
    db.session.remove()
    return found


def lease(credential, now=NOW, *, refused=None):
    """Ask for the lease because a secret was refused: the present one, unless told otherwise."""
    there = context()
    refused = refused or secret()
    with db.engine.begin() as connection:
        url = there.settings.codex_login_url
        return codex_lease.lease(connection, credential, refused=refused, now=now, vault=there.vault, token_url=url)


def lease_when_due(credential, now):
    there = context()
    with db.engine.begin() as connection:
        url = there.settings.codex_login_url
        return codex_lease.lease(connection, credential, refused=None, now=now, vault=there.vault, token_url=url)


def keep(leased, tokens=FRESH):
    there = context()
    with db.engine.begin() as connection:
        url = there.settings.codex_login_url
        return codex_lease.keep(connection, leased, tokens, vault=there.vault, token_url=url)


def account():
    db.session.remove()
    return db.session.scalars(select(CodexAccount)).one()


def secret():
    db.session.remove()
    return context().vault.open(
        db.session.scalar(select(Credential.sealed)), origin="https://chatgpt.com/backend-api/codex"
    )


def test_one_renews_and_the_others_wait(credential):
    first = lease(credential)
    assert isinstance(first, Leased)
    assert (first.before.refresh_token, first.doubtful) == ("rt-1", False)
    assert lease(credential) == Held(0.05)
    assert keep(first)
    assert secret() == str(Pass("acc-1", "at-2"))
    assert (account().plan, account().asked, account().leased_until) == ("pro", False, 0)
    assert lease(credential).before.refresh_token == "rt-2"


def test_who_was_refused_before_another_renewed_renews_nothing(credential):
    """Its snapshot can be older than the other's commit: the lease is free by then, and the token is a new one."""
    refused = secret()
    assert keep(lease(credential))
    assert lease(credential, refused=refused) == Held(0.05)
    assert account().tries == [NOW]


def test_who_found_it_due_before_another_renewed_renews_nothing(credential):
    assert lease_when_due(credential, NOW + 699) == Held()
    assert keep(lease_when_due(credential, NOW + 701), msgspec.structs.replace(FRESH, ends=NOW + 5000))
    assert lease_when_due(credential, NOW + 702) == Held()
    assert account().tries == [NOW + 701]


def test_of_many_at_once_one_gets_it(app, credential):
    refused = secret()

    def one(_):
        with app.app_context():
            return lease(credential, refused=refused)

    with ThreadPoolExecutor(8) as pool:
        got = [each for each in pool.map(one, range(8)) if isinstance(each, Leased)]
    assert len(got) == 1


def test_who_died_in_between_leaves_a_doubt(credential):
    lease(credential)
    assert lease(credential, NOW + LEASE_S - 1) == Held(0.05)
    second = lease(credential, NOW + LEASE_S + 1)
    assert (second.before.refresh_token, second.doubtful) == ("rt-1", True)


def test_who_comes_late_changes_nothing(credential):
    late = lease(credential)
    assert keep(lease(credential, NOW + LEASE_S + 1))
    assert not keep(late, TOKENS)
    with db.engine.begin() as connection:
        assert not codex_lease.end(connection, late, State.LOST)
    assert secret() == str(Pass("acc-1", "at-2"))
    assert account().state == "connected"


def test_signing_in_again_beats_a_renewal_under_way(credential):
    leased = lease(credential)
    codex_connect.connect(leased.upstream_id, FRESH, actor=None)
    assert not keep(leased, TOKENS)
    assert secret() == str(Pass("acc-1", "at-2"))
    assert db.session.scalar(select(func.count()).select_from(Credential)) == 1


def test_three_a_minute_and_no_more(credential):
    for second in range(3):
        assert keep(lease(credential, NOW + second))
    assert lease(credential, NOW + 4) == Held()
    assert lease(credential, NOW + 59.9) == Held()
    assert isinstance(lease(credential, NOW + 60.5), Leased)


def test_failures_are_put_off_longer_each_time_until_one_succeeds(credential):
    now, waits = NOW, []
    for _ in range(3):
        now += 100
        with db.engine.begin() as connection:
            codex_lease.put_off(connection, lease(credential, now), now=now, asked=False)
        waits.append(account().retry_at - now)
        assert lease(credential, now + waits[-1] - 0.1) == Held()
    assert waits == [2, 5, 30]
    assert keep(lease(credential, now + 100))
    assert (account().failures, account().retry_at) == (0, 0)


def test_the_end_is_written_down_and_nobody_asks_again(credential):
    with db.engine.begin() as connection:
        assert codex_lease.end(connection, lease(credential), State.REFUSED)
    assert account().state == "refused"
    assert db.session.scalar(select(Credential.enabled)) is False
    assert db.session.scalar(select(AuditEntry.action).order_by(AuditEntry.id.desc())) == "codex.reconnect"
    assert lease(credential, NOW + 1000) == Held()
    codex_connect.connect(account().upstream_id, FRESH, actor=None)
    assert (account().state, db.session.scalar(select(Credential.enabled))) == ("connected", True)


def test_what_is_due(credential):
    with db.engine.begin() as connection:
        assert codex_lease.due(connection, NOW + 699) == []
        assert codex_lease.due(connection, NOW + 701) == [credential]
    lease(credential, NOW + 701)
    with db.engine.begin() as connection:
        assert codex_lease.due(connection, NOW + 702) == []


def test_the_newest_allowance_is_kept(credential):
    with db.engine.begin() as connection:
        codex_lease.keep_quota(connection, credential, {"n": 2}, NOW + 2)
        codex_lease.keep_quota(connection, credential, {"n": 1}, NOW + 1)
        assert [(row.quota, row.quota_at) for row in codex_lease.quotas(connection)] == [({"n": 2}, NOW + 2)]


def test_a_refresh_token_is_sealed_to_where_it_is_spent(credential):
    vault, sealed = context().vault, account().refresh
    assert vault.open(sealed, origin="https://auth.openai.com/oauth/token") == "rt-1"
    with pytest.raises(VaultError):
        vault.open(sealed, origin="https://chatgpt.com")
    with pytest.raises(VaultError):
        Vault(["another-vault-key-that-is-long-enough"]).open(sealed, origin="https://auth.openai.com")
