import hashlib
import re
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from app.extensions import db
from app.models import AuditEntry, Token
from app.models.base import utcnow
from app.services import tokens
from app.services.context import context
from app.services.tokens import TokenError

pytestmark = pytest.mark.any_database


def test_a_secret_is_shown_once_and_kept_as_its_digest(alice):
    minted = tokens.mint(alice, name="laptop", actor=alice)
    assert re.fullmatch(r"sk_[A-Za-z0-9_-]{43}", minted.secret)
    assert minted.token.digest == hashlib.sha256(minted.secret.encode()).hexdigest()
    assert minted.token.last4 == minted.secret[-4:]
    for table in ("tokens", "audit_entries"):
        assert minted.secret not in repr(db.session.execute(text(f"SELECT * FROM {table}")).all())
    assert minted.secret not in repr(minted)


def test_no_two_secrets_are_the_same(alice):
    assert len({tokens.mint(alice, name="x", actor=alice).secret for _ in range(20)}) == 20


def test_a_token_keeps_its_end_and_its_models(alice):
    end = utcnow() + timedelta(days=1)
    token = tokens.mint(alice, name=" CI ", expires_at=end, models=["gpt-5", "claude-*"], actor=alice).token
    assert (token.name, token.models) == ("CI", ["gpt-5", "claude-*"])
    assert abs(token.expires_at - end) < timedelta(seconds=1)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x", "expires_at": utcnow()}, "expires_at"),
        ({"name": "x", "models": []}, "models"),
    ],
)
def test_what_cannot_be_a_token_is_refused_at_its_field(alice, wrong, field):
    with pytest.raises(TokenError) as caught:
        tokens.mint(alice, actor=alice, **wrong)
    assert caught.value.field == field
    assert tokens.list_all() == []


def test_everybody_sees_their_own_tokens_newest_first(alice, bob):
    for user, name in ((alice, "one"), (bob, "bob's"), (alice, "two")):
        tokens.mint(user, name=name, actor=user)
    assert [token.name for token in tokens.list_for(alice)] == ["two", "one"]
    assert [(token.user.email, token.name) for token in tokens.list_all()] == [
        ("alice@example.com", "two"),
        ("bob@example.com", "bob's"),
        ("alice@example.com", "one"),
    ]


def test_a_token_is_nobody_elses(alice, bob):
    token = tokens.mint(alice, name="laptop", actor=alice).token
    assert tokens.get_for(alice, token.id).id == token.id
    assert tokens.get_for(bob, token.id) is None
    assert not tokens.revoke(token.id, actor=bob, owner=bob)
    assert tokens.get_for(alice, token.id).revoked_at is None


def test_a_revoked_token_stays_revoked_and_stands_in_the_audit_once(alice, admin):
    token = tokens.mint(alice, name="laptop", actor=alice).token
    assert tokens.revoke(token.id, actor=admin, owner=None)
    first = tokens.get_for(alice, token.id).revoked_at
    assert tokens.revoke(token.id, actor=alice, owner=alice)
    assert tokens.get_for(alice, token.id).revoked_at == first
    entries = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "token.revoke")).all()
    assert [(entry.target, entry.actor_id) for entry in entries] == [("token alice@example.com/laptop", admin.id)]


def test_a_revoked_token_is_shown_to_its_owner_for_thirty_days(alice):
    token = tokens.mint(alice, name="laptop", actor=alice).token
    tokens.revoke(token.id, actor=alice, owner=alice)
    assert len(tokens.list_for(alice)) == 1
    db.session.execute(update(Token).values(revoked_at=utcnow() - timedelta(days=31)))
    assert tokens.list_for(alice) == []
    assert len(tokens.list_all()) == 1


def test_a_token_that_does_not_exist_cannot_be_revoked(alice):
    assert not tokens.revoke(99, actor=alice, owner=None)


def test_this_workers_snapshot_follows_each_change(alice):
    def known(secret):
        return context().directory.caller(tokens.digest(secret))

    minted = tokens.mint(alice, name="laptop", actor=alice)
    assert known(minted.secret).token_id == minted.token.id
    tokens.revoke(minted.token.id, actor=alice, owner=None)
    assert known(minted.secret) is None
