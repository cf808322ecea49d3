"""Links that work once: to an account, by invitation or registration, and to another password, handed over or mailed.

Their address is the configured one: what a request calls this host never gets into a link.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import CursorResult, delete, select

from app.extensions import db
from app.models import Link, User
from app.models.base import utcnow
from app.services import accounts, choices
from app.services.accounts import AccountError
from app.services.changes import change
from app.services.context import context
from app.services.fields import choice
from app.services.wording import say as _

INVITE, REGISTER, RESET, MAILED_RESET = "invite", "register", "reset", "mailed_reset"
TO_JOIN, TO_RESET = (INVITE, REGISTER), (RESET, MAILED_RESET)
PATHS = dict.fromkeys(TO_JOIN, "/join") | dict.fromkeys(TO_RESET, "/reset")
LIFE = {
    INVITE: timedelta(days=7),
    REGISTER: timedelta(days=1),
    RESET: timedelta(days=1),
    MAILED_RESET: timedelta(hours=1),
}


def invite(*, email: str, role: str, actor: User) -> str:
    """Return the address at which somebody makes an account of their own. Raises ``AccountError``."""
    email = accounts.normal_email(email)
    if choices.present().registration == choices.CLOSED:
        raise AccountError("", _("Registration is closed: see the settings."))
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


def mailed_reset(user: User) -> str:
    """Return the address at which ``user`` chooses another password; an administrator's link stays good beside it."""
    with change("user.reset_mail", f"user {user.email}", actor=None):
        db.session.execute(delete(Link).where(Link.purpose == MAILED_RESET, Link.user_id == user.id))
        return _new(Link(purpose=MAILED_RESET, email=user.email, user_id=user.id))


def register(email: str) -> str:
    """Return the address at which somebody who registers makes an account; an invitation stays good beside it."""
    db.session.execute(delete(Link).where(Link.purpose == REGISTER, Link.email == email))
    address = _new(Link(purpose=REGISTER, email=email, role=accounts.USER))
    db.session.commit()
    return address


def find(secret: str, purposes: tuple[str, ...]) -> Link | None:
    """Return the link of a secret; None when it is unknown, used, has run out, or settings let nobody join by it."""
    alive = (Link.digest == _digest(secret), Link.purpose.in_(purposes), Link.expires_at > utcnow())
    link = db.session.scalar(select(Link).where(*alive))
    return link if link and _welcome(link) else None


def _welcome(link: Link) -> bool:
    chosen = choices.present()
    if link.purpose == REGISTER:
        return chosen.may_register(link.email)
    return link.purpose != INVITE or chosen.registration != choices.CLOSED


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
    link = find(secret, TO_JOIN)
    if link is None:
        raise _over()
    user = accounts.draft(email=link.email, password=password, name=name, role=link.role)
    with change("user.join", f"user {user.email}", actor=None) as told:
        _use(secret)
        accounts.add(user)
        db.session.execute(delete(Link).where(Link.purpose.in_(TO_JOIN), Link.email == user.email))
        told.after = {"email": user.email, "name": user.name, "role": user.role}
    return user


def reset(secret: str, *, password: str) -> User:
    """Return the user whose password is another now, with all sign-ins ended. Raises ``AccountError``."""
    link = find(secret, TO_RESET)
    if link is None or link.user_id is None:
        raise _over()
    new_hash = accounts.new_hash(password, field="password")
    with change("user.password", f"user {link.email}", actor=None):
        _use(secret)
        db.session.execute(delete(Link).where(Link.purpose.in_(TO_RESET), Link.user_id == link.user_id))
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
