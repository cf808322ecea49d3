"""Error pages: what happened, what to do, and the request id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from flask import g, redirect, render_template, request, url_for
from flask_babel import lazy_gettext as _l
from flask_babel import refresh
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException, InternalServerError, NotFound, ServiceUnavailable

from app.web.guard import in_a_room_of_people
from app.web.people import person

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

TEXTS = {
    400: (_l("That request can't be read"), _l("Go back, reload the page and try again.")),
    403: (_l("That came from another site"), _l("Open the page here and do it again; nothing has been changed.")),
    404: (_l("There is no such page"), _l("It may have been moved or deleted. Start again from the home page.")),
    405: (_l("That page can't be used this way"), _l("Open it from the menu.")),
    413: (_l("That was too much at once"), _l("Send less, in several steps if need be.")),
    429: (_l("Too many tries"), _l("Wait a while, then try again.")),
    500: (_l("Something broke on our side"), _l("Try again. If it stays, give the request id to your administrator.")),
    503: (_l("The database can't be reached"), _l("Try again in a minute. Running model calls are not affected.")),
}
log = structlog.get_logger()
EXPIRED = (_l("This form is no longer valid"), _l("Go back, reload the page and send it again."))


def init_app(app: Flask) -> None:
    """Answer every failure of the rooms with a page; the paths of machines answer for themselves."""
    app.register_error_handler(HTTPException, show)
    app.register_error_handler(Exception, broken)
    for failure in (OperationalError, PoolTimeout):
        app.register_error_handler(failure, database_away)


def show(error: HTTPException) -> ResponseReturnValue:
    """Return the page for ``error``."""
    if not in_a_room_of_people() or error.code is None or error.code < 400:
        return error
    if error.code < 500 and _hidden():
        if not person().is_authenticated:
            return redirect(url_for("console.login"))
        error = NotFound()
    return _page(error)


def broken(error: Exception) -> ResponseReturnValue:
    """Say that something broke; the log has it under the request id of the page."""
    log.error("page_failed", exc_info=error, request_id=g.get("request_id"))
    return show(InternalServerError())


def database_away(error: DBAPIError | PoolTimeout) -> ResponseReturnValue:
    """Say that the database is away; the log has the reason."""
    log.error("database_away", error=type(error).__name__, detail=str(error), request_id=g.get("request_id"))
    return show(ServiceUnavailable())


def _hidden() -> bool:
    """Whether this is a page of administrators that the visitor must learn nothing about."""
    return (request.path + "/").startswith("/admin/") and not person().is_admin


def _page(error: HTTPException) -> ResponseReturnValue:
    code = error.code if error.code in TEXTS else (500 if (error.code or 500) >= 500 else 400)
    title, advice = EXPIRED if isinstance(error, CSRFError) else TEXTS[code]
    if error.code is not None and error.code >= 500:
        g.failed = True
        refresh()
    page = render_template("errors/error.html", code=error.code, heading=title, advice=advice)
    return page, error.code or 500, _kept_headers(error)


def _kept_headers(error: HTTPException) -> list[tuple[str, str]]:
    """Return the headers that belong to the answer: which methods are allowed, when to come again."""
    return [(name, value) for name, value in error.get_headers() if name in {"Allow", "Retry-After"}]
