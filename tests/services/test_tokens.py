import hashlib
import re
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update

from app.extensions import db
from app.models import AuditEntry, Token
from app.models.base import utcnow
from app.protocol.limit import Measure
from app.services import allowances, tokens
from app.services.context import context
from app.services.tokens import TokenError

pytestmark = pytest.mark.any_database


@pytest.mark.acceptance("A-1", "J-5")
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
        ({"name": "x", "expires_at": utcnow()}, "expires_on"),
        ({"name": "x", "models": []}, "models"),
    ],
)
def test_what_cannot_be_a_token_is_refused_at_its_field(alice, wrong, field):
    with pytest.raises(TokenError) as caught:
        tokens.mint(alice, actor=alice, **wrong)
    assert caught.value.field == field
    assert tokens.list_all() == []


def test_there_is_an_end_to_the_tokens_of_one_user(alice, bob, monkeypatch):
    monkeypatch.setattr(tokens, "TOKENS_MAX", 2)
    first, secret = tokens.mint(alice, name="first", actor=alice).token, tokens.new_secret()
    tokens.mint(alice, name="second", actor=alice, secret=secret)
    with pytest.raises(TokenError, match="2 tokens already"):
        tokens.mint(alice, name="third", actor=alice)
    assert tokens.mint(alice, name="second", actor=alice, secret=secret).token.name == "second", "its form, sent again"
    tokens.mint(bob, name="his", actor=bob)
    tokens.revoke(first.id, actor=alice, owner=alice)
    tokens.mint(alice, name="third", expires_at=utcnow() + timedelta(days=1), actor=alice)


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


def test_a_token_is_kept_to_its_networks_in_one_spelling(alice):
    token = tokens.mint(alice, name="x", networks=[" 10.1.2.3/8 ", "::1", ""], actor=alice).token
    assert token.networks == ["10.0.0.0/8", "::1/128"]
    with pytest.raises(TokenError) as caught:
        tokens.mint(alice, name="x", networks=["10.0.0.0/8", "everywhere"], actor=alice)
    assert caught.value.field == "networks"


def test_a_change_leaves_the_secret_and_tells_the_audit(alice):
    minted = tokens.mint(alice, name="x", actor=alice)
    tokens.update(minted.token, name="y", expires_at=None, models=["a"], networks=["10.0.0.0/8"], actor=alice)
    caller = context().directory.caller(tokens.digest(minted.secret))
    assert (caller.models, str(caller.networks[0])) == (("a",), "10.0.0.0/8")
    entry = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert (entry.action, entry.before["name"], entry.after["name"]) == ("token.update", "x", "y")


def test_a_rotated_token_works_on_for_its_overlap_and_its_limits_go_on(alice):
    old = tokens.mint(alice, name="x", models=["a"], networks=["10.0.0.0/8"], actor=alice).token
    allowances.put("token", old.id, most={Measure.CONCURRENT: 3}, actor=alice)
    secret = tokens.new_secret()
    for _again in range(2):
        new = tokens.rotate(old, overlap=timedelta(hours=1), actor=alice, secret=secret).token
    assert (new.name, new.models, new.networks, new.expires_at) == ("x", ["a"], ["10.0.0.0/8"], None)
    assert timedelta(0) < old.expires_at - utcnow() <= timedelta(hours=1)
    assert allowances.list_for("token", new.id)[0].concurrent == 3
    assert len(tokens.list_for(alice)) == 2
