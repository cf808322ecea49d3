"""The session cookie: its name and attributes, and the paths that never read or write one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from app.web.guard import for_machines

if TYPE_CHECKING:
    from flask import Flask, Request, Response
    from flask.sessions import SessionMixin

    from app.settings import Settings

LIFETIME = timedelta(days=14)


class MachineSession(SecureCookieSession):
    """The session of a machine's request: empty, and never kept."""


class RoomSessions(SecureCookieSessionInterface):
    """Flask's signed cookie for pages alone."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return MachineSession() if for_machines(request.path) else super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if not isinstance(session, MachineSession):
            super().save_session(app, session, response)


def init_app(app: Flask, settings: Settings) -> None:
    """Name and harden the cookie: ``__Host-`` and Secure wherever people come by https."""
    app.session_interface = RoomSessions()
    app.config.update(
        SESSION_COOKIE_NAME="__Host-realms" if settings.https else "realms",
        SESSION_COOKIE_SECURE=settings.https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=LIFETIME,
    )
