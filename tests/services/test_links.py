"""Links work once, for their purpose, and for their time."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from app.extensions import db
from app.models import Link
from app.models.base import utcnow
from app.services import accounts, links, sign_ins
from app.services.accounts import AccountError
from tests.conftest import PASSWORD

pytestmark = pytest.mark.any_database


def secret_of(link):
    return link.partition("token=")[2]


def test_an_invitation_makes_one_user_with_the_role_it_names(admin):
    secret = secret_of(links.invite(email="New@Example.com", role="admin", actor=admin))
    assert secret not in repr(db.session.execute(text("SELECT * FROM links")).all())
    user = links.join(secret, name="New", password=PASSWORD)
    assert (user.email, user.role) == ("new@example.com", "admin")
    with pytest.raises(AccountError):
        links.join(secret, name="Again", password=PASSWORD)


def test_a_reset_link_changes_the_password_once_and_ends_sign_ins(admin, alice):
    browser = sign_ins.start(alice, user_agent="x")
    older = secret_of(links.to_reset(alice.id, actor=admin))
    secret = secret_of(links.to_reset(alice.id, actor=admin))
    assert links.find(older, links.TO_RESET) is None
    links.reset(secret, password="another good password")
    assert sign_ins.find(browser) is None
    assert accounts.authenticate("alice@example.com", "another good password")
    with pytest.raises(AccountError):
        links.reset(secret, password="a third good password")


def test_a_link_is_good_for_its_purpose_and_its_time_alone(admin, alice):
    secret = secret_of(links.to_reset(alice.id, actor=admin))
    assert links.find(secret, links.TO_JOIN) is None
    db.session.execute(update(Link).values(expires_at=utcnow() - timedelta(seconds=1)))
    assert links.find(secret, links.TO_RESET) is None


def test_who_is_there_already_is_not_invited(admin, alice):
    with pytest.raises(AccountError) as refused:
        links.invite(email=alice.email, role="user", actor=admin)
    assert refused.value.field == "email"


def test_an_invitation_can_be_withdrawn(admin):
    secret = secret_of(links.invite(email="new@example.com", role="user", actor=admin))
    (open_one,) = links.invitations()
    links.withdraw(open_one.digest, actor=admin)
    assert links.find(secret, links.TO_JOIN) is None
