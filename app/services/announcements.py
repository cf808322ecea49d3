"""Short notices of administrators to everybody."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select

from app.extensions import db
from app.models import Announcement, User
from app.models.base import utcnow
from app.services.changes import change
from app.services.fields import FieldError, line

LONGEST = 500


def announce(text: str, *, days: int, actor: User) -> None:
    """Tell everybody something for so many days (0: until it is taken back). Raises ``FieldError``."""
    text = line(text, field="text", longest=LONGEST, refuse=FieldError)
    with change("announcement.create", "announcement", actor=actor) as told:
        ends = utcnow() + timedelta(days=days) if days else None
        db.session.add(Announcement(text=text, ends_at=ends))
        told.after = {"text": text, "ends_at": ends and ends.isoformat()}


def take_back(announcement_id: int, *, actor: User) -> None:
    """Show an announcement no more."""
    with change("announcement.delete", "announcement", actor=actor) as told:
        found = db.session.get(Announcement, announcement_id)
        if found is not None:
            told.before = {"text": found.text}
            db.session.delete(found)


def present() -> list[Announcement]:
    """Return what is announced now, newest first."""
    return list(db.session.scalars(select(Announcement).where(_shown(utcnow())).order_by(Announcement.id.desc())))


def unread_by(user: User) -> list[Announcement]:
    """Return what is announced now and ``user`` hasn't put away, newest first."""
    return [each for each in present() if each.id > user.read_announcement]


def put_away(user: User, announcement_id: int) -> None:
    """Show ``user`` this announcement and older ones no more."""
    user.read_announcement = max(user.read_announcement, announcement_id)
    db.session.commit()


def _shown(now: datetime) -> ColumnElement[bool]:
    return or_(Announcement.ends_at.is_(None), Announcement.ends_at > now)
