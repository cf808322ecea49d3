"""People: made, recognised, changed and locked out. There is always an administrator who can sign in."""

from __future__ import annotations

import re

from sqlalchemy import delete, func, select

from app.extensions import db
from app.models import HalfSignIn, Meta, SignIn, User
from app.models.base import utcnow
from app.models.meta import FIRST_ADMIN
from app.services import passwords
from app.services.changes import change
from app.services.fields import FieldError, choice, line
from app.services.wording import say as _

USER, ADMIN = ROLES = ("user", "admin")
EMAIL_LONGEST = 254
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8}){0,2}")


class AccountError(FieldError):
    """Something about a person that can't be done as asked."""


def normal_email(text: str) -> str:
    """Return an e-mail address as it is kept, in lower case. Raises ``AccountError`` for what can't be one."""
    email = line(text, field="email", longest=EMAIL_LONGEST, refuse=AccountError).lower()
    if not _EMAIL.fullmatch(email) or len(email) > EMAIL_LONGEST:
        raise AccountError("email", _("Enter an e-mail address, for example alice@example.com."))
    return email


def create_user(*, email: str, password: str, name: str = "", role: str = USER, actor: User | None) -> User:
    """Return a new person who can sign in. An administrator made here also ends set-up.

    Raises ``AccountError`` for an address that is taken or none, a weak password, an unknown role.
    """
    return admit(draft(email=email, password=password, name=name, role=role), actor=actor)


def admit(user: User, *, actor: User | None) -> User:
    """Return the drafted person, who can sign in from now on. Raises ``AccountError`` for an address that is taken."""
    with change("user.create", f"user {user.email}", actor=actor) as told:
        add(user)
        if user.role == ADMIN and db.session.get(Meta, FIRST_ADMIN) is None:
            db.session.add(Meta(name=FIRST_ADMIN, value=user.id))
        told.after = _shown(user)
    return user


def draft(*, email: str, password: str, name: str, role: str) -> User:
    """Return a person who isn't kept yet; the slow hashing happens here, before any transaction.

    Raises ``AccountError`` for anything entered that can't be used.
    """
    email = normal_email(email)
    name = line(name, field="name", longest=100, refuse=AccountError, empty=True)
    choice(role, field="role", known=ROLES, refuse=AccountError)
    return User(email=email, name=name, role=role, password_hash=new_hash(password, field="password"))


def add(user: User) -> None:
    """Keep a drafted person, inside a change. Raises ``AccountError`` when the address is taken."""
    if db.session.scalar(select(User.id).where(User.email == user.email)) is not None:
        raise AccountError("email", _("Somebody has this e-mail address already."))
    db.session.add(user)
    db.session.flush()


def authenticate(email: str, password: str) -> User | None:
    """Return whose address and password these are, or None: unknown, wrong and disabled look and last the same."""
    try:
        email = normal_email(email)
    except AccountError:
        email = ""
    # A connection of its own, given back before the slow part: sign-ins that queue for argon2 must not hold the pool.
    with db.engine.connect() as connection:
        known = select(User.id, User.password_hash, User.disabled_at).where(User.email == email)
        row = connection.execute(known).first()
    if row is None or row.disabled_at is not None:
        passwords.verify_nobody(password)
        return None
    return get_user(row.id) if passwords.verify(row.password_hash, password) else None


def change_password(user: User, *, current: str, new: str) -> None:
    """Give ``user`` the password ``new``.

    Raises ``AccountError`` for field ``current`` when that isn't the present one, for ``new`` when it is too weak.
    """
    if not passwords.verify(user.password_hash, current):
        raise AccountError("current", _("This isn't your present password."))
    hashed = new_hash(new, field="new")
    with change("user.password", f"user {user.email}", actor=user):
        user.password_hash = hashed


def reset_password(user_id: int, *, password: str, actor: User | None) -> None:
    """Give somebody another password and end all their sign-ins. Raises ``AccountError``."""
    hashed = new_hash(password, field="password")
    with change("user.password", "user", actor=actor) as told:
        told.target = f"user {replace_hash(user_id, hashed).email}"


def replace_hash(user_id: int, hashed: str) -> User:
    """Return the person with another password and no sign-ins, inside a change. Raises ``AccountError``."""
    user = _existing(user_id)
    user.password_hash = hashed
    end_sign_ins(user)
    return user


def set_locale(user: User, locale: str | None) -> None:
    """Keep the language that ``user`` reads pages in; None follows the browser. Raises ``AccountError``."""
    if locale is not None and not _LOCALE.fullmatch(locale):
        raise AccountError("locale", _("This isn't a language."))
    user.locale = locale
    db.session.commit()


def set_time_zone(user: User, time_zone: str) -> None:
    """Keep the zone that ``user`` reads times in."""
    user.time_zone = time_zone
    db.session.commit()


def list_users() -> list[User]:
    """Return everybody, by address."""
    return list(db.session.scalars(select(User).order_by(User.email)))


def count() -> int:
    """Return how many people there are."""
    return db.session.scalar(select(func.count()).select_from(User)) or 0


def emails(user_ids: set[int]) -> dict[int, str]:
    """Return the addresses of these users."""
    rows = db.session.execute(select(User.id, User.email).where(User.id.in_(user_ids)))
    return {row.id: row.email for row in rows}


def get_user(user_id: int) -> User | None:
    """Return the person with this number."""
    return db.session.get(User, user_id)


def by_email(email: str) -> User | None:
    """Return the person with this address, however it is written."""
    try:
        email = normal_email(email)
    except AccountError:
        return None
    return db.session.scalar(select(User).where(User.email == email))


def update_user(user_id: int, *, name: str, role: str, actor: User | None) -> User:
    """Return the person with another name and role; another role ends all their sign-ins.

    Raises ``AccountError``, for field ``role`` when it would leave no administrator.
    """
    name = line(name, field="name", longest=100, refuse=AccountError, empty=True)
    choice(role, field="role", known=ROLES, refuse=AccountError)
    with change("user.update", "user", actor=actor) as told:
        user = _existing(user_id)
        told.target, told.before = f"user {user.email}", _shown(user)
        if role != user.role:
            _keep_an_admin(user, field="role")
            end_sign_ins(user)
        user.name, user.role = name, role
        told.after = _shown(user)
    return user


def set_disabled(user_id: int, *, disabled: bool, actor: User | None) -> User:
    """Return the person, locked out (sign-ins ended, tokens refused) or let in again.

    Raises ``AccountError`` when it would leave no administrator.
    """
    with change("user.disable" if disabled else "user.enable", "user", actor=actor) as told:
        user = _existing(user_id)
        told.target, told.before = f"user {user.email}", _shown(user)
        if disabled:
            _keep_an_admin(user, field="disabled")
            end_sign_ins(user)
        user.disabled_at = (user.disabled_at or utcnow()) if disabled else None
        told.after = _shown(user)
    return user


def _existing(user_id: int) -> User:
    """Read the row anew: what the session remembers may be older than the lock that ``change`` waited for."""
    user = db.session.get(User, user_id, populate_existing=True)
    if user is None:
        raise AccountError("", _("There is no such user."))
    return user


def _keep_an_admin(user: User, *, field: str) -> None:
    if user.role != ADMIN or user.disabled_at is not None:
        return
    others = select(func.count()).where(User.role == ADMIN, User.disabled_at.is_(None), User.id != user.id)
    if not db.session.scalar(others):
        raise AccountError(field, _("This is the last administrator who can sign in. Make another one first."))


def end_sign_ins(user: User) -> None:
    """End every sign-in of a person, half ones too, inside a change."""
    db.session.execute(delete(SignIn).where(SignIn.user_id == user.id))
    db.session.execute(delete(HalfSignIn).where(HalfSignIn.user_id == user.id))


def new_hash(password: str, *, field: str) -> str:
    """Return what is kept of a password. Raises ``AccountError`` for a weak one. Slow: never inside a transaction."""
    problem = passwords.complaint(password)
    if problem:
        raise AccountError(field, problem)
    return passwords.hash_password(password)


def _shown(user: User) -> dict[str, object]:
    return {"email": user.email, "name": user.name, "role": user.role, "disabled": user.disabled_at is not None}
