import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError

from app.extensions import db
from app.models import OwnedObject, User

pytestmark = pytest.mark.any_database


def own(user, object_id="resp_1", upstream_id=1, kind="response"):
    db.session.add(
        OwnedObject(upstream_id=upstream_id, credential_id=1, kind=kind, object_id=object_id, user_id=user.id)
    )
    db.session.commit()


def count():
    return db.session.scalar(select(func.count()).select_from(OwnedObject))


def test_the_first_owner_stays_the_only_one(alice, bob):
    own(alice)
    with pytest.raises(IntegrityError):
        own(bob)
    db.session.rollback()
    assert db.session.scalar(select(OwnedObject.user_id)) == alice.id


@pytest.mark.parametrize("twin", ["Resp_1", "resp_1 ", " resp_1", "resp_１"])
def test_ids_that_look_alike_are_different_objects(alice, bob, twin):
    own(alice)
    own(bob, twin)
    assert count() == 2


def test_the_same_id_at_another_upstream_or_of_another_kind_is_another_object(alice, bob):
    own(alice)
    own(bob, upstream_id=2)
    own(bob, kind="conversation")
    assert count() == 3


@pytest.mark.acceptance("B-13")
def test_a_deleted_users_objects_belong_to_nobody(alice, bob):
    own(alice)
    db.session.execute(delete(User).where(User.id == alice.id))
    db.session.commit()
    assert db.session.scalars(select(OwnedObject.user_id)).all() == [None]


@pytest.mark.acceptance("B-13")
def test_the_number_of_a_deleted_user_is_never_given_again(alice):
    number = alice.id
    db.session.execute(delete(User).where(User.id == number))
    db.session.add(User(email="later@example.com", password_hash=""))
    db.session.commit()
    assert db.session.scalar(select(User.id)) > number
