"""Announcements are seen by everybody until their end, and by each until put away."""

from datetime import timedelta

from sqlalchemy import update

from app.extensions import db
from app.models import Announcement
from app.models.base import utcnow
from app.services import announcements as service


def test_an_announcement_is_there_until_put_away_and_for_others_still(admin, alice, bob):
    service.announce("Maintenance at noon", days=1, actor=admin)
    (found,) = service.unread_by(alice)
    service.put_away(alice, found.id)
    assert service.unread_by(alice) == []
    assert [each.text for each in service.unread_by(bob)] == ["Maintenance at noon"]


def test_an_announcement_ends_by_itself_or_by_hand(admin):
    service.announce("one", days=1, actor=admin)
    service.announce("two", days=0, actor=admin)
    service.take_back(service.present()[0].id, actor=admin)
    assert [each.text for each in service.present()] == ["one"]
    db.session.execute(update(Announcement).values(ends_at=utcnow() - timedelta(seconds=1)))
    assert service.present() == []
