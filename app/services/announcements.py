"""Short notices of administrators to everybody."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select

from app.extensions import db
from app.models import Announcement, User
from app.models.base import utcnow
from app.services.changes import change
from app.services.fields import FieldError, line
from app.services.wording import say as _

LONGEST = 500


def announce(text: str, *, days: int, actor: User) -> None:
    """Tell everybody something for so many days (0: until it is taken back). Raises ``FieldError``."""
    say(text, ends_at=utcnow() + timedelta(days=days) if days else None, actor=actor)


def say(text: str, *, ends_at: datetime | None, actor: User | None) -> Announcement:
    """Return a new announcement to everybody, until ``ends_at``. Raises ``FieldError``."""
    text = line(text, field="text", longest=LONGEST, refuse=FieldError)
    announcement = Announcement(text=text, ends_at=ends_at)
    with change("announcement.create", "announcement", actor=actor) as told:
        db.session.add(announcement)
        told.after = _told(announcement)
    return announcement


def end_at(announcement_id: int, moment: datetime | None, *, actor: User | None) -> None:
    """Let an announcement end at another moment. Raises ``FieldError`` when there is none such."""
    with change("announcement.update", "announcement", actor=actor) as told:
        found = db.session.get(Announcement, announcement_id)
        if found is None:
            raise FieldError("", _("There is no such announcement."))
        told.before, found.ends_at = _told(found), moment
        told.after = _told(found)


def take_back(announcement_id: int, *, actor: User | None) -> None:
    """Show an announcement no more."""
    with change("announcement.delete", "announcement", actor=actor) as told:
        found = db.session.get(Announcement, announcement_id)
        if found is not None:
            told.before = {"text": found.text}
            db.session.delete(found)


def present() -> list[Announcement]:
    """Return what is announced now, newest first."""
    return list(db.session.scalars(select(Announcement).where(_shown(utcnow())).order_by(Announcement.id.desc())))


def list_all() -> list[Announcement]:
    """Return what was ever announced and not taken back, oldest first."""
    return list(db.session.scalars(select(Announcement).order_by(Announcement.id)))


def unread_by(user: User) -> list[Announcement]:
    """Return what is announced now and ``user`` hasn't put away, newest first."""
    return [each for each in present() if each.id > user.read_announcement]


def put_away(user: User, announcement_id: int) -> None:
    """Show ``user`` this announcement and older ones no more."""
    user.read_announcement = max(user.read_announcement, announcement_id)
    db.session.commit()


def _told(announcement: Announcement) -> dict[str, str | None]:
    return {"text": announcement.text, "ends_at": announcement.ends_at.isoformat() if announcement.ends_at else None}


def _shown(now: datetime) -> ColumnElement[bool]:
    return or_(Announcement.ends_at.is_(None), Announcement.ends_at > now)
