"""Who is signed in: a server-side sign-in found by the secret in the session cookie."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, cast

from flask import abort, flash, g, redirect, request, session, url_for
from flask_babel import gettext as _
from flask_login import AnonymousUserMixin, UserMixin, current_user

from app.extensions import login_manager
from app.models.base import utcnow
from app.services import second_factor, sign_ins

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Request
    from flask.typing import ResponseReturnValue

    from app.models import SignIn, User

KEY, HALF = "sign_in", "half"
CONFIRMED_FOR = timedelta(minutes=15)
P = ParamSpec("P")


@dataclass(frozen=True, slots=True, eq=False)
class Person(UserMixin):
    """A signed-in user and the browser they came with."""

    user: User
    sign_in: SignIn
    secret: str

    @property
    def is_admin(self) -> bool:
        return self.user.role == "admin"

    @property
    def confirmed(self) -> bool:
        """Whether the password was given within the last quarter of an hour."""
        return utcnow() - self.sign_in.confirmed_at < CONFIRMED_FOR


class Nobody(AnonymousUserMixin):
    """A browser that isn't signed in."""

    is_admin = False


def init_app(app: Flask) -> None:
    """Let Flask-Login find people by our own sign-ins; its "remember me" can't be revoked and is not used."""
    login_manager.session_protection = None
    login_manager.anonymous_user = Nobody
    login_manager.request_loader(_find)
    login_manager.unauthorized_handler(_to_login)
    login_manager.init_app(app)


def person() -> Person:
    """Return who is signed in; ``is_authenticated`` is false, and there is no ``user``, when nobody is."""
    return cast("Person", current_user)


def sign_in(user: User) -> None:
    """Sign ``user`` in on this browser, under a new secret; whatever the session held before is gone."""
    secret = sign_ins.start(user, user_agent=request.user_agent.string[:200])
    sign_out()
    session.permanent = True
    session[KEY] = secret


def begin_sign_in(user: User) -> None:
    """Let ``user`` go on to the second factor on this browser, and to nothing else."""
    sign_out()
    session[HALF] = sign_ins.begin(user)


def awaited() -> User | None:
    """Return who gave the right password on this browser and is to give a code now."""
    secret = session.get(HALF)
    return sign_ins.begun(secret) if isinstance(secret, str) else None


def sign_out() -> None:
    """End this browser's sign-in, whole or half, at the server too."""
    secret, half = session.get(KEY), session.get(HALF)
    session.clear()
    if secret:
        sign_ins.end(secret)
    if half:
        sign_ins.end_half(half)


def password_again(view: Callable[P, ResponseReturnValue]) -> Callable[P, ResponseReturnValue]:
    """Send the visitor of ``view`` to the password page first, when it was last given too long ago."""

    @wraps(view)
    def confirmed(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if person().confirmed:
            return view(*args, **kwargs)
        return redirect(url_for("console.confirm", next=request.full_path.rstrip("?")))

    return confirmed


def require_admin() -> ResponseReturnValue | None:
    """Let administrators in; send the unknown to the sign-in page; to others the page does not exist."""
    if not person().is_authenticated:
        return _to_login()
    if not person().is_admin:
        abort(404)
    if second_factor.is_missing(person().user):
        flash(_("Administrators need a second factor here: set yours up to go on."), "warn")
        return redirect(url_for("console.second_factor"))
    return None


def require_sign_in() -> ResponseReturnValue | None:
    """Let signed-in people in and send others to the sign-in page."""
    return None if person().is_authenticated else _to_login()


def _find(_request: Request) -> Person | None:
    if g.get("failed"):  # a page about a failure must not ask the database that may have failed
        return None
    secret = session.get(KEY)
    found = sign_ins.find(secret, touch=not _by_itself()) if isinstance(secret, str) else None
    return Person(found.user, found, secret) if found and isinstance(secret, str) else None


def _by_itself() -> bool:
    """Whether no person asked, but an open page, for a part of it that changes."""
    return request.headers.get("HX-Request") == "true"


def _to_login() -> ResponseReturnValue:
    if _by_itself():  # the page that asks has to go there, not the part of it that was asked for
        return "", 401, {"HX-Refresh": "true"}
    wanted = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("console.login", next=None if wanted == "/" else wanted))
