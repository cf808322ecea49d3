"""One worker's picture of the configuration: swapped whole when the generation was raised, kept when nobody answers."""

import pytest

from app.extensions import db
from app.models import Token
from app.services import directory as directories
from app.services import tokens, upstreams
from app.services.directory import Directory
from app.services.vault import Vault
from tests.conftest import VAULT_KEY
from tests.services.writing import away

pytestmark = pytest.mark.any_database


@pytest.fixture
def other(ctx):
    """Another worker's directory, which learns of changes by the generation alone."""
    made = Directory(db.engine, Vault([VAULT_KEY]), mark_key="m" * 32)
    made.refresh()
    return made


def new_upstream(name):
    return upstreams.create(
        name=name, kind="openai", base_url="http://127.0.0.1:9/v1", key="sk-x", priority=0, weight=1, actor=None
    )


def test_a_change_elsewhere_is_seen_with_the_next_look(other):
    before = other.snapshot
    other.refresh()
    assert other.snapshot is before, "nothing changed: nothing is loaded"
    one = new_upstream("one")
    assert one.id not in other.snapshot.upstreams
    other.refresh()
    assert one.id in other.snapshot.upstreams
    assert before.upstreams == {}, "a picture that was handed out never changes"


def test_a_token_is_asked_for_once_and_one_that_is_unknown_each_time(other, alice):
    digest = tokens.digest(tokens.mint(alice, name="x", actor=alice).secret)
    assert other.caller(digest) is other.caller(digest)
    assert other.caller("0" * 64) is None
    assert "0" * 64 not in other.snapshot.callers, "guessing fills no memory"


def test_a_token_made_elsewhere_works_at_once_and_a_revoked_one_stops_with_the_next_look(other, alice):
    minted = tokens.mint(alice, name="x", actor=alice)
    digest = tokens.digest(minted.secret)
    assert other.caller(digest)
    tokens.revoke(minted.token.id, actor=alice, owner=alice)
    other.refresh()
    assert other.caller(digest) is None


def test_no_more_tokens_are_remembered_than_there_is_room_for(other, alice, monkeypatch):
    monkeypatch.setattr(directories, "CALLERS_MAX", 3)
    digests = [tokens.digest(tokens.mint(alice, name=str(n), actor=alice).secret) for n in range(5)]
    for digest in digests:
        assert other.caller(digest)
    assert list(other.snapshot.callers) == digests[-3:]
    assert other.caller(digests[0])


def test_with_the_database_away_the_last_picture_goes_on(other, alice):
    one = new_upstream("one").id
    digest = tokens.digest(tokens.mint(alice, name="x", actor=alice).secret)
    other.refresh()
    assert other.caller(digest)
    db.session.remove()
    with away(db.engine):
        other._poll()
        assert not other.ping()
        assert one in other.snapshot.upstreams
        assert other.caller(digest)
    assert other.ping()


def test_the_age_is_that_of_the_last_look_that_was_answered(other):
    assert Directory(db.engine, Vault([VAULT_KEY]), mark_key="m" * 32).age_s() == float("inf")
    young = other.age_s()
    db.session.remove()
    with away(db.engine):
        other._poll()
        assert other.age_s() > young
    other._poll()
    assert other.age_s() < 1


@pytest.mark.acceptance("A-12")
def test_used_tokens_are_written_down_once_a_minute_and_not_lost_while_nobody_answers(other, alice, monkeypatch):
    minted = tokens.mint(alice, name="x", actor=alice)
    token_id, digest = minted.token.id, tokens.digest(minted.secret)
    other.used(other.caller(digest).token_id, "codex/1.0\x00")
    other._note_used()

    def used_at():
        db.session.remove()
        return db.session.get(Token, token_id).used_at

    assert used_at() is None
    monkeypatch.setattr(directories, "USED_S", 0)
    db.session.remove()
    with away(db.engine):
        other._note_used()
    other._note_used()
    assert used_at() is not None
    assert db.session.get(Token, token_id).client == "codex/1.0"
