"""Administrators find who owns an id, and can have it forgotten."""

from app.extensions import db
from app.models import OwnedObject
from app.services import objects


def own(user, object_id):
    row = OwnedObject(upstream_id=1, credential_id=1, kind="response", object_id=object_id, user_id=user.id)
    db.session.add(row)
    db.session.commit()
    return row.id


def test_objects_are_found_by_id_and_by_owner_newest_first(alice, bob):
    for n in range(3):
        own(alice, f"resp_{n}")
    own(bob, "resp_bobs")
    assert [each.object_id for each in objects.search(email="Alice@example.com")] == ["resp_2", "resp_1", "resp_0"]
    (found,) = objects.search(object_id="resp_bobs")
    assert (found.owner, found.upstream) == ("bob@example.com", "")
    last = objects.search(limit=2)[-1]
    assert [each.object_id for each in objects.search(before_id=last.id)] == ["resp_1", "resp_0"]


def test_a_forgotten_object_keeps_its_owner_and_is_gone(admin, alice):
    row_id = own(alice, "resp_1")
    objects.forget(row_id, actor=admin)
    (found,) = objects.search(object_id="resp_1")
    assert found.deleted_at is not None
    assert found.user_id == alice.id
