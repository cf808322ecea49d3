"""Codes of an authenticator count once, near their time; recovery codes count once, at any time."""

from datetime import datetime, timedelta

import pyotp
import pytest
from sqlalchemy import select, text, update

from app.extensions import db
from app.models import AuditEntry, RecoveryCode, SecondFactor
from app.models.base import utcnow
from app.services import accounts, second_factor, sign_ins
from app.services.accounts import AccountError
from app.services.choices import Choices, choose
from app.services.context import context
from app.services.resealing import reseal
from app.services.vault import Vault
from tests.racing import together

pytestmark = pytest.mark.any_database
SECRET = pyotp.random_base32()


def code(steps=0, secret=SECRET):
    """The code that an authenticator shows whose clock is off by so many steps."""
    return pyotp.TOTP(secret).at(datetime.now(), counter_offset=steps)


@pytest.fixture
def codes(alice):
    """Alice's recovery codes; her authenticator was last used a minute ago."""
    made = second_factor.turn_on(alice, secret=SECRET, code=code())
    rested()
    return made


def rested():
    db.session.execute(update(SecondFactor).values(last_step=SecondFactor.last_step - 2))
    db.session.commit()


def test_a_code_counts_once(alice, codes):
    shown = code()
    assert second_factor.accepts(alice.id, f" {shown[:3]} {shown[3:]} ")
    assert not second_factor.accepts(alice.id, shown)


def test_a_clock_may_be_off_by_a_step_and_no_more(alice, codes):
    assert not second_factor.accepts(alice.id, code(-3))
    assert not second_factor.accepts(alice.id, code(3))
    assert second_factor.accepts(alice.id, code(-1))
    assert second_factor.accepts(alice.id, code(1))
    assert not second_factor.accepts(alice.id, code()), "older than one that was used"


@pytest.mark.parametrize("wrong", ["", "000000x", "١٢٣٤٥٦", "\ud800", "\x00", "9" * 10_000])
def test_what_is_no_code_is_refused(alice, codes, wrong):
    assert not second_factor.accepts(alice.id, wrong)


def test_the_code_that_turned_it_on_signs_nobody_in(alice):
    shown = code()
    second_factor.turn_on(alice, secret=SECRET, code=shown)
    assert not second_factor.accepts(alice.id, shown)


def test_of_two_browsers_with_one_code_one_gets_in(app, alice, codes):
    shown, alice_id = code(), alice.id
    db.session.remove()
    results = together(app, *[lambda: second_factor.accepts(alice_id, shown)] * 2)
    assert sorted(results) == [False, True]


def test_a_recovery_code_counts_once_however_it_is_typed(alice, bob, codes):
    assert len(set(codes)) == 10
    assert not second_factor.accepts(bob.id, codes[0]), "another's"
    assert second_factor.accepts(alice.id, codes[0].upper().replace("-", " "))
    assert not second_factor.accepts(alice.id, codes[0])
    assert second_factor.codes_left(alice.id) == 9
    fresh = second_factor.new_codes(alice)
    assert not second_factor.accepts(alice.id, codes[1])
    assert second_factor.accepts(alice.id, fresh[1])


def test_nothing_of_it_is_kept_in_clear_and_the_seal_is_good_for_its_user_alone(alice, bob, codes):
    kept = repr([db.session.execute(text(f"SELECT * FROM {t}")).all() for t in ("second_factors", "recovery_codes")])
    assert SECRET not in kept
    assert all(each not in kept and each.replace("-", "") not in kept for each in codes)
    sealed = db.session.scalar(select(SecondFactor.sealed))
    db.session.add(SecondFactor(user_id=bob.id, sealed=sealed, last_step=0))
    db.session.commit()
    assert not second_factor.accepts(bob.id, code())
    assert "second_factor" in repr(db.session.scalars(select(AuditEntry.action)).all())
    assert SECRET not in repr(db.session.execute(text("SELECT * FROM audit_entries")).all())


def test_it_is_sealed_anew_with_the_other_credentials(alice, codes):
    new_key = "another-vault-key-for-tests-long-enough"
    old = context().settings.vault_keys.get_secret_value()
    object.__setattr__(context(), "vault", Vault([new_key, old]))
    assert reseal(actor=None) == (1, [])
    object.__setattr__(context(), "vault", Vault([new_key]))
    assert second_factor.accepts(alice.id, code())
    object.__setattr__(context(), "vault", Vault([old]))
    assert reseal(actor=None) == (0, ["second factor of alice@example.com"])
    assert not second_factor.accepts(alice.id, code(1))


def test_who_removes_anothers_signs_them_out_and_stands_in_the_audit(alice, admin, codes):
    browser, half = sign_ins.start(alice, user_agent=""), sign_ins.begin(alice)
    second_factor.turn_off(alice.id, actor=admin)
    assert sign_ins.find(browser) is None
    assert sign_ins.begun(half) is None
    assert not second_factor.is_on(alice.id)
    assert db.session.scalar(select(RecoveryCode.digest)) is None
    entry = db.session.scalar(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1))
    assert (entry.action, entry.target) == ("user.second_factor_off", "user alice@example.com")
    assert entry.actor_id == admin.id
    with pytest.raises(AccountError):
        second_factor.turn_off(alice.id, actor=admin)


def test_a_second_one_is_refused_and_a_wrong_code_turns_nothing_on(alice, bob, codes):
    with pytest.raises(AccountError):
        second_factor.turn_on(alice, secret=pyotp.random_base32(), code="123456")
    other = pyotp.random_base32()
    with pytest.raises(AccountError):
        second_factor.turn_on(alice, secret=other, code=code(secret=other))
    assert second_factor.accepts(alice.id, code())
    assert not second_factor.is_on(bob.id)


def test_administrators_can_be_made_to_have_one_and_then_keep_it(alice, admin):
    choose(Choices(admins_second_factor=True), actor=admin)
    assert second_factor.is_missing(admin)
    assert not second_factor.is_missing(alice)
    second_factor.turn_on(admin, secret=SECRET, code=code())
    assert not second_factor.is_missing(admin)
    with pytest.raises(AccountError):
        second_factor.turn_off(admin.id, actor=admin)
    second_factor.turn_off(admin.id, actor=None)
    assert second_factor.is_missing(admin)


def test_half_a_sign_in_runs_out_and_ends_with_the_password(alice):
    secret = sign_ins.begin(alice)
    assert sign_ins.begun(secret).id == alice.id
    assert sign_ins.find(secret) is None
    accounts.reset_password(alice.id, password="another good password", actor=None)
    assert sign_ins.begun(secret) is None
    secret = sign_ins.begin(alice)
    db.session.execute(
        text("UPDATE half_sign_ins SET created_at = :at").bindparams(at=utcnow() - timedelta(minutes=11))
    )
    db.session.commit()
    assert sign_ins.begun(secret) is None
