from datetime import timedelta

import pytest
from sqlalchemy import func, select, text, update

from app.extensions import db
from app.models import AuditEntry, SignIn
from app.models.base import utcnow
from app.services import accounts, sign_ins
from tests.conftest import PASSWORD

pytestmark = pytest.mark.any_database


def age(**columns):
    """Move moments of every sign-in back."""
    values = {name: utcnow() - ago for name, ago in columns.items()}
    db.session.execute(update(SignIn).values(values))
    db.session.commit()


def count():
    return db.session.scalar(select(func.count()).select_from(SignIn))


def test_the_secret_finds_the_sign_in_and_its_user(alice):
    secret = sign_ins.start(alice, user_agent="Firefox")
    found = sign_ins.find(secret)
    assert (found.user.email, found.user_agent) == ("alice@example.com", "Firefox")
    assert sign_ins.is_this(found, secret)
    assert not sign_ins.is_this(found, "another")


@pytest.mark.parametrize("wrong", ["", "x", "\x00", "\ud800", "x" * 10_000])
def test_an_unknown_secret_finds_nobody(alice, wrong):
    sign_ins.start(alice, user_agent="")
    assert sign_ins.find(wrong) is None


@pytest.mark.acceptance("J-5")
def test_the_secret_itself_is_not_kept(alice):
    secret = sign_ins.start(alice, user_agent="")
    assert len(secret) == 43
    assert secret not in repr(db.session.execute(text("SELECT * FROM sign_ins")).all())


@pytest.mark.acceptance("C-5")
def test_a_browser_idle_for_twelve_hours_is_signed_out(alice):
    secret = sign_ins.start(alice, user_agent="")
    age(seen_at=timedelta(hours=11, minutes=59))
    assert sign_ins.find(secret) is not None
    age(seen_at=timedelta(hours=12, minutes=1))
    assert sign_ins.find(secret) is None


@pytest.mark.acceptance("C-5")
def test_two_weeks_after_the_password_a_browser_is_signed_out_however_busy(alice):
    secret = sign_ins.start(alice, user_agent="")
    age(created_at=timedelta(days=13, hours=23))
    assert sign_ins.find(secret) is not None
    age(created_at=timedelta(days=14, minutes=1))
    assert sign_ins.find(secret) is None


def test_use_is_written_down_at_most_once_a_minute(alice):
    secret = sign_ins.start(alice, user_agent="")
    age(seen_at=timedelta(seconds=50))
    before = db.session.scalar(select(SignIn.seen_at))
    assert sign_ins.find(secret).seen_at == before
    age(seen_at=timedelta(seconds=70))
    found = sign_ins.find(secret)
    assert utcnow() - found.seen_at < timedelta(seconds=10)
    assert found.user.email == "alice@example.com"


def test_an_ended_sign_in_is_worth_nothing(alice):
    secret, other = sign_ins.start(alice, user_agent=""), sign_ins.start(alice, user_agent="")
    sign_ins.end(secret)
    assert sign_ins.find(secret) is None
    assert sign_ins.find(other) is not None


def test_ending_the_others_keeps_this_one_and_those_of_other_people(alice, bob):
    here, there, bobs = (sign_ins.start(user, user_agent="") for user in (alice, alice, bob))
    sign_ins.end_others(alice, keep=here)
    assert sign_ins.find(here) is not None
    assert sign_ins.find(there) is None
    assert sign_ins.find(bobs) is not None


def test_an_administrator_ends_all_of_one_person_and_the_audit_knows(alice, bob, admin):
    alices, bobs = sign_ins.start(alice, user_agent=""), sign_ins.start(bob, user_agent="")
    sign_ins.end_all(alice.id, actor=admin)
    assert sign_ins.find(alices) is None
    assert sign_ins.find(bobs) is not None
    entry = db.session.scalar(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1))
    assert (entry.action, entry.target, entry.actor_id) == ("user.sign_out", "user alice@example.com", admin.id)


def test_a_disabled_user_is_signed_out_everywhere(alice):
    secret = sign_ins.start(alice, user_agent="")
    accounts.set_disabled(alice.id, disabled=True, actor=None)
    accounts.set_disabled(alice.id, disabled=False, actor=None)
    assert sign_ins.find(secret) is None


def test_the_list_has_this_persons_browsers_that_are_still_signed_in_the_last_used_first(alice, bob):
    sign_ins.start(alice, user_agent="run out")
    age(seen_at=timedelta(hours=13))
    sign_ins.start(bob, user_agent="Bob's")
    sign_ins.start(alice, user_agent="older")
    age(seen_at=timedelta(hours=1))
    db.session.execute(
        update(SignIn).where(SignIn.user_agent == "run out").values(seen_at=utcnow() - timedelta(hours=13))
    )
    sign_ins.start(alice, user_agent="newer")
    assert [each.user_agent for each in sign_ins.list_for(alice)] == ["newer", "older"]


def test_a_new_sign_in_sweeps_away_what_has_run_out(alice):
    sign_ins.start(alice, user_agent="")
    age(created_at=timedelta(days=15))
    sign_ins.start(alice, user_agent="")
    assert count() == 1


def test_a_long_or_hostile_user_agent_is_cut_to_one_line(alice):
    secret = sign_ins.start(alice, user_agent="a\r\nb\x00\x1b[31m" + "x" * 1000)
    agent = sign_ins.find(secret).user_agent
    assert agent.startswith("ab[31mx")
    assert len(agent) <= 200


def test_the_password_given_again_is_remembered_and_a_wrong_one_is_not(alice):
    secret = sign_ins.start(alice, user_agent="")
    age(confirmed_at=timedelta(hours=1))
    assert not sign_ins.confirm(secret, "wrong")
    assert utcnow() - sign_ins.find(secret).confirmed_at > timedelta(minutes=59)
    assert sign_ins.confirm(secret, PASSWORD)
    assert utcnow() - sign_ins.find(secret).confirmed_at < timedelta(minutes=1)
    assert not sign_ins.confirm("unknown", PASSWORD)
