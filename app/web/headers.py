"""Response headers of pages and static files."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from flask import g, request

from app.web.guard import in_a_room_of_people

if TYPE_CHECKING:
    from flask import Flask, Response

    from app.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
YEAR_S = 365 * 24 * 3600


def init_app(app: Flask, settings: Settings) -> None:
    """Give every page its headers. Static files may be kept for a year: their addresses carry their hash."""
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = YEAR_S

    @app.before_request
    def name_request() -> None:
        if in_a_room_of_people():
            g.request_id = "req_" + secrets.token_hex(12)

    @app.after_request
    def guard_page(response: Response) -> Response:
        if request.path.startswith("/static/"):
            response.headers["X-Content-Type-Options"] = "nosniff"
        elif in_a_room_of_people():
            _protect(response)
            if settings.https:
                response.headers["Strict-Transport-Security"] = f"max-age={YEAR_S}"
        return response


def _protect(response: Response) -> None:
    headers = response.headers
    headers["Content-Security-Policy"] = POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cache-Control"] = "no-store"
    headers["X-Request-Id"] = g.get("request_id", "")
    response.vary.add("Cookie")
