"""The list of people as administrators look through it: narrowed, by address, a page at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import func, or_, select

from app.extensions import db
from app.models import SecondFactor, User

if TYPE_CHECKING:
    from typing import Any

STATES = ("enabled", "disabled")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Who is meant; empty and None mean everybody."""

    words: str = ""
    """Any part of an address or a name, however it is spelled."""
    role: str = ""
    state: str = ""
    second_factor: bool | None = None


class Page(msgspec.Struct, frozen=True):
    """Some people, those of them who have a second factor, and the address that the next ones follow (empty: none)."""

    users: list[User]
    with_second_factor: set[int]
    after: str


def page(wanted: Wanted, *, after: str = "", limit: int = 50) -> Page:
    """Return the people whose addresses follow ``after``."""
    following = _narrowed(wanted).where(User.email > after).order_by(User.email)
    found = list(db.session.scalars(following.limit(limit + 1)))
    shown = found[:limit]
    having = select(SecondFactor.user_id).where(SecondFactor.user_id.in_([user.id for user in shown]))
    return Page(shown, set(db.session.scalars(having)), shown[-1].email if len(found) > limit else "")


def _narrowed(wanted: Wanted) -> Any:
    users = select(User)
    if wanted.words:
        words = wanted.words.lower()
        email, name = (each.contains(words, autoescape=True) for each in (User.email, func.lower(User.name)))
        # As typed, too: SQLite knows the small letters of ASCII alone.
        users = users.where(or_(email, name, User.name.contains(wanted.words, autoescape=True)))
    if wanted.role:
        users = users.where(User.role == wanted.role)
    if wanted.state in STATES:
        users = users.where(User.disabled_at.is_(None) if wanted.state == "enabled" else User.disabled_at.is_not(None))
    if wanted.second_factor is not None:
        having = User.id.in_(select(SecondFactor.user_id))
        users = users.where(having if wanted.second_factor else ~having)
    return users
