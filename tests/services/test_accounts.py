import pytest
from sqlalchemy import func, select, text

from app.extensions import db
from app.models import AuditEntry, Meta, SignIn, User
from app.models.meta import FIRST_ADMIN, GENERATION
from app.services import accounts, sign_ins
from app.services.accounts import AccountError
from tests.conftest import PASSWORD
from tests.racing import together

pytestmark = pytest.mark.any_database


def refused(work, *args, **kwargs):
    with pytest.raises(AccountError) as caught:
        work(*args, **kwargs)
    return caught.value


def last_entry():
    return db.session.scalar(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1))


def test_a_new_user_can_sign_in_with_any_spelling_of_the_address(alice):
    assert accounts.authenticate("  ALICE@Example.com ", PASSWORD).id == alice.id


def test_an_address_is_kept_in_lower_case(ctx):
    user = accounts.create_user(email=" Dora@Example.COM ", password=PASSWORD, actor=None)
    assert user.email == "dora@example.com"


@pytest.mark.parametrize(
    "email", ["", "alice", "@example.com", "alice@", "a b@example.com", "a@b@c", "a\x00@b.c", "a@" + "b" * 260]
)
def test_what_cannot_be_an_address_is_refused_at_its_field(ctx, email):
    assert refused(accounts.create_user, email=email, password=PASSWORD, actor=None).field == "email"


def test_an_address_is_given_to_one_person_only(alice):
    error = refused(accounts.create_user, email="Alice@example.com", password=PASSWORD, actor=None)
    assert error.field == "email"
    assert len(accounts.list_users()) == 1


def test_two_who_take_the_same_address_at_once_get_one_account(app, ctx):
    def take():
        return accounts.create_user(email="twin@example.com", password=PASSWORD, actor=None).id

    results = together(app, take, take)
    assert sorted(type(result).__name__ for result in results) == ["AccountError", "int"]


@pytest.mark.parametrize("password", ["short12", "password1", "Qwertyuiop", "x" * 1025])
def test_a_weak_password_is_refused_at_its_field(ctx, password):
    assert refused(accounts.create_user, email="a@b.c", password=password, actor=None).field == "password"


def test_an_unknown_role_is_refused_at_its_field(ctx):
    assert refused(accounts.create_user, email="a@b.c", password=PASSWORD, role="root", actor=None).field == "role"


@pytest.mark.acceptance("J-5")
def test_no_password_stands_in_the_database_or_the_audit(alice):
    rows = db.session.execute(text("SELECT password_hash FROM users")).all()
    rows += db.session.execute(text('SELECT "before", "after" FROM audit_entries')).all()
    assert PASSWORD not in repr(rows)
    assert "argon2id" in repr(rows)


@pytest.mark.parametrize(
    ("email", "password"),
    [("alice@example.com", "wrong"), ("nobody@example.com", PASSWORD), ("", ""), ("\x00", PASSWORD)],
)
def test_a_wrong_or_unknown_sign_in_gives_nobody(alice, email, password):
    assert accounts.authenticate(email, password) is None


def test_a_disabled_user_cannot_sign_in_until_enabled_again(alice, admin):
    accounts.set_disabled(alice.id, disabled=True, actor=admin)
    assert accounts.authenticate(alice.email, PASSWORD) is None
    accounts.set_disabled(alice.id, disabled=False, actor=admin)
    assert accounts.authenticate(alice.email, PASSWORD).id == alice.id


def test_disabling_ends_sign_ins(alice, admin):
    secret = sign_ins.start(alice, user_agent="")
    accounts.set_disabled(alice.id, disabled=True, actor=admin)
    assert db.session.scalar(select(func.count()).select_from(SignIn)) == 0
    assert sign_ins.find(secret) is None


def test_disabling_twice_keeps_the_first_moment(alice):
    first = accounts.set_disabled(alice.id, disabled=True, actor=None).disabled_at
    assert accounts.set_disabled(alice.id, disabled=True, actor=None).disabled_at == first


def test_a_password_is_changed_by_who_knows_the_present_one(alice):
    assert refused(accounts.change_password, alice, current="wrong", new="another fine one").field == "current"
    assert refused(accounts.change_password, alice, current=PASSWORD, new="password").field == "new"
    accounts.change_password(alice, current=PASSWORD, new="another fine one")
    assert accounts.authenticate(alice.email, PASSWORD) is None
    assert accounts.authenticate(alice.email, "another fine one").id == alice.id


def test_a_reset_password_ends_all_sign_ins(alice, admin):
    secret = sign_ins.start(alice, user_agent="")
    accounts.reset_password(alice.id, password="another fine one", actor=admin)
    assert sign_ins.find(secret) is None
    assert accounts.authenticate(alice.email, "another fine one").id == alice.id
    assert (last_entry().action, last_entry().target, last_entry().actor_id) == (
        "user.password",
        "user alice@example.com",
        admin.id,
    )


def test_name_and_role_are_changed_and_told_to_the_audit(alice, admin):
    accounts.update_user(alice.id, name="Alice B.", role="admin", actor=admin)
    entry = last_entry()
    assert (entry.action, entry.target, entry.actor_id) == ("user.update", "user alice@example.com", admin.id)
    assert (entry.before["role"], entry.after["role"], entry.after["name"]) == ("user", "admin", "Alice B.")


@pytest.mark.acceptance("C-3")
def test_another_role_ends_sign_ins_and_another_name_does_not(alice):
    secret = sign_ins.start(alice, user_agent="")
    accounts.update_user(alice.id, name="Alice B.", role="user", actor=None)
    assert sign_ins.find(secret) is not None
    accounts.update_user(alice.id, name="Alice B.", role="admin", actor=None)
    assert sign_ins.find(secret) is None


def test_each_change_raises_the_generation_and_a_refused_one_leaves_nothing(alice, admin):
    before = db.session.get(Meta, GENERATION).value
    refused(accounts.update_user, admin.id, name="x", role="user", actor=admin)
    db.session.expire_all()
    assert db.session.get(Meta, GENERATION).value == before
    accounts.update_user(alice.id, name="x", role="user", actor=admin)
    assert db.session.get(Meta, GENERATION).value == before + 1


@pytest.mark.acceptance("D-2")
def test_the_last_administrator_cannot_be_demoted_or_disabled(alice, admin):
    assert refused(accounts.update_user, admin.id, name="", role="user", actor=admin).field == "role"
    assert refused(accounts.set_disabled, admin.id, disabled=True, actor=admin).field == "disabled"
    assert accounts.get_user(admin.id).role == "admin"


@pytest.mark.acceptance("D-2")
def test_a_disabled_administrator_does_not_count_as_another(admin):
    other = accounts.create_user(email="o@example.com", password=PASSWORD, role="admin", actor=admin)
    accounts.set_disabled(other.id, disabled=True, actor=admin)
    assert refused(accounts.update_user, admin.id, name="", role="user", actor=admin).field == "role"
    accounts.update_user(other.id, name="", role="user", actor=admin)


@pytest.mark.acceptance("D-2")
@pytest.mark.parametrize("first", ["demote", "disable"])
@pytest.mark.parametrize("second", ["demote", "disable"])
def test_of_two_administrators_who_remove_each_other_at_once_one_stays(app, admin, first, second):
    other = accounts.create_user(email="o@example.com", password=PASSWORD, role="admin", actor=admin)
    db.session.commit()
    ways = {
        "demote": lambda user_id: accounts.update_user(user_id, name="", role="user", actor=None).id,
        "disable": lambda user_id: accounts.set_disabled(user_id, disabled=True, actor=None).id,
    }
    results = together(app, lambda: ways[first](1), lambda: ways[second](2))
    assert (admin.id, other.id) == (1, 2)
    assert sorted(type(result).__name__ for result in results) == ["AccountError", "int"]
    db.session.expire_all()
    left = [user for user in accounts.list_users() if user.role == "admin" and user.disabled_at is None]
    assert len(left) == 1


def test_an_administrator_made_by_hand_ends_set_up(admin):
    assert db.session.get(Meta, FIRST_ADMIN).value == admin.id
    accounts.create_user(email="o@example.com", password=PASSWORD, role="admin", actor=admin)
    assert db.session.get(Meta, FIRST_ADMIN).value == admin.id


def test_a_language_is_kept_and_nonsense_refused(alice):
    accounts.set_locale(alice, "zh_Hans")
    assert db.session.scalar(select(User.locale)) == "zh_Hans"
    accounts.set_locale(alice, None)
    assert db.session.scalar(select(User.locale)) is None
    assert refused(accounts.set_locale, alice, "<b>").field == "locale"


def test_changing_somebody_who_does_not_exist_is_refused(ctx):
    assert "no such user" in str(refused(accounts.update_user, 99, name="", role="user", actor=None))
    refused(accounts.set_disabled, 99, disabled=True, actor=None)
    refused(accounts.reset_password, 99, password=PASSWORD, actor=None)
    assert accounts.get_user(99) is None
    assert accounts.by_email("nobody@example.com") is None
    assert accounts.by_email("\x00") is None
    assert db.session.scalar(select(func.count()).select_from(AuditEntry)) == 0
