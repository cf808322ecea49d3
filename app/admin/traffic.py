"""Everybody's requests: all records, one request's way through the house, and CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.admin import blueprint
from app.extensions import db
from app.services import reports
from app.services.reports import Scope
from app.web import records, times
from app.web import requests as web
from app.web.people import password_again
from app.web.requests import Reader

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

HOURS_DAYS = 31
READER = Reader(None, "admin.requests", "admin.request_record", "admin.requests_csv")


@blueprint.get("/requests")
def requests() -> ResponseReturnValue:
    """List everybody's requests."""
    return web.list_for(READER)


@blueprint.get("/requests/<record_id>")
def request_record(record_id: str) -> ResponseReturnValue:
    """Show one request, whoever's."""
    return web.show_to(READER, record_id)


@blueprint.get("/requests.csv")
@password_again
def requests_csv() -> ResponseReturnValue:
    """Export records, filtered as the page is."""
    return web.export_for(READER)


@blueprint.get("/requests-<any(model, user_id, token_id, upstream_id, hour, day):by>.csv")
@password_again
def sums_csv(by: str) -> ResponseReturnValue:
    """Export the sums of a month, by whatever is asked for."""
    now = times.now()
    sums = reports.every(db.engine, Scope(), by, reports.days_ago(HOURS_DAYS, now), now)
    return records.sums_csv(f"requests-{by}.csv", by, sums)
