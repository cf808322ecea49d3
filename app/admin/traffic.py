"""Everybody's requests: all records, one request's way through the house, and CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, redirect, render_template, request, url_for

from app.admin import blueprint
from app.extensions import db
from app.services import accounts, history, reports, upstreams
from app.services.invoice import invoice
from app.services.reports import Scope
from app.web import records, times
from app.web.people import password_again

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

HOURS_DAYS = 31


@blueprint.get("/requests")
def requests() -> ResponseReturnValue:
    """List records, or go to the one that a request id names."""
    if named := request.args.get("id", "").strip():
        found = history.get(named[:32]) or history.find(named[:64])
        if found is not None:
            return redirect(url_for("admin.request_record", record_id=found.id))
    page = history.page(records.asked(), after=records.cursor())
    now = times.now()
    return render_template(
        "admin/requests.html",
        page=page,
        after=records.written(page.after),
        asked=records.values(),
        ends=records.END_CHOICES,
        missing=named or "",
        users={user.id: user.email for user in accounts.list_users()},
        upstreams={each.id: each.name for each in upstreams.list_all()},
        totals=[(days, reports.totals(Scope(), reports.days_ago(days - 1, now))) for days in (1, 7, 30)],
    )


@blueprint.get("/requests/<record_id>")
def request_record(record_id: str) -> ResponseReturnValue:
    """Show one request: who, its attempts in order, times, and the working of its cost."""
    found = history.get(record_id[:32])
    if found is None:
        abort(404)
    attempts = history.attempts(found.id)
    return render_template(
        "admin/request.html",
        record=found,
        lines=invoice(found),
        attempts=attempts,
        bundle=records.bundle(found, attempts, internal=True),
        user=accounts.get_user(found.user_id),
        upstreams={each.id: each.name for each in upstreams.list_all()},
    )


@blueprint.get("/requests.csv")
@password_again
def requests_csv() -> ResponseReturnValue:
    """Export records, filtered as the page is."""
    return records.records_csv(db.engine, records.asked(), internal=True)


@blueprint.get("/requests-<any(model, user_id, token_id, upstream_id, hour, day):by>.csv")
@password_again
def sums_csv(by: str) -> ResponseReturnValue:
    """Export the sums of a month, by whatever is asked for."""
    begin = reports.days_ago(HOURS_DAYS, times.now())
    return records.sums_csv(f"requests-{by}.csv", by, reports.grouped(Scope(), by, begin))
