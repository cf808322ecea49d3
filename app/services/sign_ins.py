"""Signed-in browsers: kept on this side, so that they can be listed and ended."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import contains_eager

from app.extensions import db
from app.models import HalfSignIn, SignIn, User
from app.models.base import utcnow
from app.services import passwords
from app.services.changes import change

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement

IDLE = timedelta(hours=12)
ABSOLUTE = timedelta(days=14)
HALF_LIFE = timedelta(minutes=10)
TOUCH_EVERY = timedelta(minutes=1)
USER_AGENT_LONGEST = 200
NAME_LENGTH = 32


def start(user: User, *, user_agent: str) -> str:
    """Return the secret for the cookie of a browser in which ``user`` has just given the password."""
    secret = secrets.token_urlsafe(32)
    seen = "".join(c for c in user_agent[:USER_AGENT_LONGEST] if c.isprintable())
    db.session.execute(delete(SignIn).where(SignIn.user_id == user.id, over(utcnow())))
    db.session.add(SignIn(digest=_digest(secret), user_id=user.id, user_agent=seen))
    db.session.commit()
    return secret


def begin(user: User) -> str:
    """Return the secret for a browser in which the password was right and the second factor is still to come."""
    secret = secrets.token_urlsafe(32)
    db.session.add(HalfSignIn(digest=_digest(secret), user_id=user.id))
    db.session.commit()
    return secret


def begun(secret: str) -> User | None:
    """Return whose second factor is awaited, or None: unknown, ended, run out, or the user is disabled."""
    mine = (HalfSignIn.digest == _digest(secret), ~half_over(utcnow()), User.disabled_at.is_(None))
    return db.session.scalar(select(User).join(HalfSignIn, HalfSignIn.user_id == User.id).where(*mine))


def end_half(secret: str) -> None:
    """Await the second factor no longer."""
    db.session.execute(delete(HalfSignIn).where(HalfSignIn.digest == _digest(secret)))
    db.session.commit()


def find(secret: str, *, touch: bool = True) -> SignIn | None:
    """Return the sign-in of a cookie with its ``user``, or None: unknown, ended, run out, or the user is disabled.

    Without ``touch`` the visit doesn't count as one: a page that asks by itself keeps nobody signed in.
    """
    found = _load(secret)
    if found is None:
        return None
    now = utcnow()
    if touch and found.seen_at < now - TOUCH_EVERY:
        db.session.execute(update(SignIn).where(SignIn.digest == found.digest).values(seen_at=now))
        db.session.commit()
        found = _load(secret)  # the commit has let go of what was loaded
    return found


def end(secret: str) -> None:
    """Sign this browser out; its cookie is worth nothing from now on."""
    db.session.execute(delete(SignIn).where(SignIn.digest == _digest(secret)))
    db.session.commit()


def name_of(sign_in: SignIn) -> str:
    """Return what pages call a sign-in, of which nobody learns its secret or what is kept of that."""
    return hashlib.sha256(sign_in.digest.encode()).hexdigest()[:NAME_LENGTH]


def end_one(user: User, name: str) -> bool:
    """Sign ``user`` out in the browser of this name; return whether there was one."""
    for each in list_for(user):
        if secrets.compare_digest(name_of(each), name):
            db.session.delete(each)
            db.session.commit()
            return True
    return False


def end_others(user: User, *, keep: str) -> None:
    """Sign ``user`` out in every browser but the one with the secret ``keep``."""
    db.session.execute(delete(SignIn).where(SignIn.user_id == user.id, SignIn.digest != _digest(keep)))
    db.session.execute(delete(HalfSignIn).where(HalfSignIn.user_id == user.id))
    db.session.commit()


def end_all(user_id: int, *, actor: User | None = None) -> None:
    """Sign somebody out everywhere; the audit names ``actor``."""
    with change("user.sign_out", f"user {user_id}", actor=actor) as told:
        user = db.session.get(User, user_id)
        if user is not None:
            told.target = f"user {user.email}"
        db.session.execute(delete(SignIn).where(SignIn.user_id == user_id))
        db.session.execute(delete(HalfSignIn).where(HalfSignIn.user_id == user_id))


def list_for(user: User) -> list[SignIn]:
    """Return the browsers in which ``user`` is signed in, the last used first."""
    rows = select(SignIn).where(SignIn.user_id == user.id, ~over(utcnow())).order_by(SignIn.seen_at.desc())
    return list(db.session.scalars(rows))


def confirm(secret: str, password: str) -> bool:
    """Return whether ``password`` is that of the signed-in user, and remember when it was given."""
    found = find(secret)
    if found is None or not passwords.verify(found.user.password_hash, password):
        return False
    db.session.execute(update(SignIn).where(SignIn.digest == found.digest).values(confirmed_at=utcnow()))
    db.session.commit()
    return True


def is_this(sign_in: SignIn, secret: str) -> bool:
    """Return whether ``sign_in`` is the browser that holds ``secret``."""
    return secrets.compare_digest(sign_in.digest, _digest(secret))


def _load(secret: str) -> SignIn | None:
    wanted = select(SignIn).where(SignIn.digest == _digest(secret), ~over(utcnow()), User.disabled_at.is_(None))
    query = wanted.join(SignIn.user).options(contains_eager(SignIn.user)).execution_options(populate_existing=True)
    return db.session.scalar(query)


def over(now: datetime) -> ColumnElement[bool]:
    """Return what holds for sign-ins that have run out."""
    return or_(SignIn.seen_at < now - IDLE, SignIn.created_at < now - ABSOLUTE)


def half_over(now: datetime) -> ColumnElement[bool]:
    """Return what holds for half sign-ins that have run out."""
    return HalfSignIn.created_at < now - HALF_LIFE


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
