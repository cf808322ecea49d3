"""What mails say: the way to another password, to an account, and an invitation; each in its reader's language."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask_babel import force_locale
from flask_babel import gettext as _

from app.services import accounts, links
from app.services.context import context
from app.services.mail import Letter

if TYPE_CHECKING:
    from app.services.mail import Mail


def mail() -> Mail:
    """Return the post of the current application."""
    return context().mail


def to_another_password(email: str, *, language: str) -> None:
    """Mail a link to another password to whoever has this address; to nobody else, and nobody learns which."""

    def write() -> Letter | None:
        user = accounts.by_email(email)
        if user is None or user.disabled_at is not None:
            return None
        return _in(user.locale or language, lambda: _reset(user.email, links.mailed_reset(user)))

    mail().later(write)


def to_an_account(email: str, *, language: str) -> None:
    """Mail the way to an account to an address that may register; whoever has one already is told so, by mail alone."""

    def write() -> Letter:
        user = accounts.by_email(email)
        if user is None:
            return _in(language, lambda: _register(email, links.register(email)))
        return _in(user.locale or language, lambda: _have_one(user.email))

    mail().later(write)


def invitation(email: str, link: str, *, language: str) -> None:
    """Mail an invitation that an administrator has made."""
    mail().later(lambda: _in(language, lambda: _invite(email, link)))


def _in(language: str, write: Callable[[], Letter]) -> Letter:
    with force_locale(language):
        return write()


def _reset(email: str, link: str) -> Letter:
    return Letter(
        email,
        _("Another password for Realms"),
        _(
            "Somebody asked for another password for %(email)s at Realms. Choose it here, within an hour:\n\n"
            "%(link)s\n\n"
            "If it wasn't you, do nothing: your password stays as it is.\n",
            email=email,
            link=link,
        ),
    )


def _register(email: str, link: str) -> Letter:
    return Letter(
        email,
        _("Your account at Realms"),
        _(
            "Somebody asked for an account at Realms for %(email)s. Make it here, within a day:\n\n"
            "%(link)s\n\n"
            "If it wasn't you, do nothing: no account is made.\n",
            email=email,
            link=link,
        ),
    )


def _have_one(email: str) -> Letter:
    return Letter(
        email,
        _("Your account at Realms"),
        _(
            "Somebody asked for an account at Realms for %(email)s, which has one already. Sign in here:\n\n"
            "%(link)s\n\n"
            "If it wasn't you, do nothing.\n",
            email=email,
            link=f"{context().settings.public_url}/login",
        ),
    )


def _invite(email: str, link: str) -> Letter:
    return Letter(
        email,
        _("An invitation to Realms"),
        _(
            "You are invited to Realms as %(email)s. Choose your password here, within a week:\n\n%(link)s\n",
            email=email,
            link=link,
        ),
    )
