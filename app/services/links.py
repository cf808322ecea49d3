"""Links that work once: an invitation, and the way to another password that an administrator hands over."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import CursorResult, delete, select

from app.extensions import db
from app.models import Link, User
from app.models.base import utcnow
from app.services import accounts
from app.services.accounts import AccountError
from app.services.changes import change
from app.services.context import context
from app.services.fields import choice
from app.services.wording import say as _

INVITE, RESET = "invite", "reset"
PATHS = {INVITE: "/join", RESET: "/reset"}
LIFE = {INVITE: timedelta(days=7), RESET: timedelta(days=1)}


def invite(*, email: str, role: str, actor: User) -> str:
    """Return the address at which somebody makes an account of their own. Raises ``AccountError``."""
    email = accounts.normal_email(email)
    choice(role, field="role", known=accounts.ROLES, refuse=AccountError)
    if accounts.by_email(email) is not None:
        raise AccountError("email", _("Somebody has this e-mail address already."))
    with change("user.invite", f"user {email}", actor=actor) as told:
        db.session.execute(delete(Link).where(Link.purpose == INVITE, Link.email == email))
        told.after = {"email": email, "role": role}
        return _new(Link(purpose=INVITE, email=email, role=role))


def to_reset(user_id: int, *, actor: User) -> str:
    """Return the address at which a user chooses another password. Raises ``AccountError``."""
    with change("user.reset_link", "user", actor=actor) as told:
        user = accounts.get_user(user_id)
        if user is None:
            raise AccountError("", _("There is no such user."))
        told.target = f"user {user.email}"
        db.session.execute(delete(Link).where(Link.purpose == RESET, Link.user_id == user_id))
        return _new(Link(purpose=RESET, email=user.email, user_id=user_id))


def find(secret: str, purpose: str) -> Link | None:
    """Return the link of a secret; None when it is unknown, used or has run out."""
    wanted = select(Link).where(Link.digest == _digest(secret), Link.purpose == purpose, Link.expires_at > utcnow())
    return db.session.scalar(wanted)


def invitations() -> list[Link]:
    """Return the invitations that nobody has taken yet, newest first."""
    open_ones = select(Link).where(Link.purpose == INVITE, Link.expires_at > utcnow())
    return list(db.session.scalars(open_ones.order_by(Link.created_at.desc())))


def withdraw(digest: str, *, actor: User) -> None:
    """Let an invitation work no more."""
    with change("user.uninvite", "user", actor=actor) as told:
        link = db.session.get(Link, digest)
        if link is not None:
            told.target = f"user {link.email}"
            db.session.delete(link)


def join(secret: str, *, name: str, password: str) -> User:
    """Return the new user of an invitation; of two who use it at once one succeeds. Raises ``AccountError``."""
    link = find(secret, INVITE)
    if link is None:
        raise _over()
    user = accounts.draft(email=link.email, password=password, name=name, role=link.role)
    with change("user.join", f"user {user.email}", actor=None) as told:
        _use(secret)
        accounts.add(user)
        told.after = {"email": user.email, "name": user.name, "role": user.role}
    return user


def reset(secret: str, *, password: str) -> User:
    """Return the user whose password is another now, with all sign-ins ended. Raises ``AccountError``."""
    link = find(secret, RESET)
    if link is None or link.user_id is None:
        raise _over()
    new_hash = accounts.new_hash(password, field="password")
    with change("user.password", f"user {link.email}", actor=None):
        _use(secret)
        return accounts.replace_hash(link.user_id, new_hash)


def _new(link: Link) -> str:
    secret = secrets.token_urlsafe(32)
    link.digest, link.expires_at = _digest(secret), utcnow() + LIFE[link.purpose]
    db.session.execute(delete(Link).where(Link.expires_at <= utcnow()))
    db.session.add(link)
    return f"{context().settings.public_url}{PATHS[link.purpose]}?token={secret}"


def _use(secret: str) -> None:
    used = db.session.execute(delete(Link).where(Link.digest == _digest(secret)))
    if not isinstance(used, CursorResult) or used.rowcount != 1:
        raise _over()


def _over() -> AccountError:
    return AccountError("", _("This link was used or has run out. Ask for another one."))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
