"""The first administrator: there is no default account, only a link that works once."""

from __future__ import annotations

import secrets

from app.extensions import db
from app.models import Meta, User
from app.models.meta import FIRST_ADMIN
from app.services import accounts
from app.services.accounts import AccountError
from app.services.changes import change
from app.services.context import context
from app.services.keys import derive
from app.services.wording import say as _


def is_open() -> bool:
    """Return whether the first administrator is still to be made."""
    return db.session.get(Meta, FIRST_ADMIN) is None


def token() -> str:
    """Return what proves that somebody can read this server's log; the same in every worker."""
    return derive(context().settings.signing_keys[0], "setup").decode().rstrip("=")


def link() -> str:
    """Return the address at which the first administrator is made."""
    return f"{context().settings.public_url}/setup?token={token()}"


def accepts(offered: str) -> bool:
    """Return whether ``offered`` opens set-up, and set-up is open."""
    return secrets.compare_digest(offered.encode("utf-8", "replace"), token().encode()) and is_open()


def create_first_admin(*, email: str, password: str, name: str = "") -> User:
    """Return the first administrator; of two who try at once one succeeds.

    Raises ``AccountError``, without a field when set-up is over.
    """
    user = accounts.draft(email=email, password=password, name=name, role=accounts.ADMIN)
    with change("setup", f"user {user.email}", actor=None) as told:
        if not is_open():
            raise AccountError("", _("Set-up is over: sign in instead."))
        accounts.add(user)
        db.session.add(Meta(name=FIRST_ADMIN, value=user.id))
        told.after = {"email": user.email, "name": user.name, "role": user.role}
    return user


def create_configured_admin() -> User | None:
    """Make the administrator whom the settings name, at a start without anybody watching; None when there is no need.

    Raises ``AccountError`` when the settings name somebody who can't be made.
    """
    settings = context().settings
    if not settings.admin_email or not is_open():
        return None
    try:
        return create_first_admin(email=settings.admin_email, password=settings.admin_password.get_secret_value())
    except AccountError:
        if is_open():
            raise
        return None  # another process has made it meanwhile
