"""One's own requests: what they used and cost, one by one, by conversation, and as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, render_template, request

from app.console import blueprint
from app.extensions import db
from app.services import history, reports, tokens
from app.services.invoice import invoice
from app.services.reports import Scope
from app.web import records, times
from app.web.people import person

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

CONVERSATIONS_SHOWN = 50
HOURS_DAYS = 31


@blueprint.get("/usage")
def usage() -> ResponseReturnValue:
    """List the visitor's requests, and the sums of today, a week and a month."""
    mine = person().user.id
    page = history.page(records.asked(user_id=mine), after=records.cursor())
    now = times.now()
    return render_template(
        "console/usage.html",
        page=page,
        after=records.written(page.after),
        asked=records.values(),
        ends=records.END_CHOICES,
        tokens={token.id: token.name for token in tokens.list_for(person().user)},
        totals=[(days, reports.totals(Scope(user_id=mine), reports.days_ago(days - 1, now))) for days in (1, 7, 30)],
    )


@blueprint.get("/usage/<record_id>")
def usage_record(record_id: str) -> ResponseReturnValue:
    """Show one request: times, attempts without the upstreams' names, and the working of its cost."""
    found = history.get(record_id[:32], user_id=person().user.id)
    if found is None:
        abort(404)
    names = {token.id: token.name for token in tokens.list_for(person().user)}
    attempts = history.attempts(found.id)
    return render_template(
        "console/usage_record.html",
        record=found,
        lines=invoice(found),
        attempts=attempts,
        tokens=names,
        bundle=records.bundle(found, attempts, internal=False),
    )


@blueprint.get("/usage/conversations")
def conversations() -> ResponseReturnValue:
    """List the visitor's conversations, the last heard of first."""
    before = records.cursor()
    found = reports.conversations(person().user.id, before=before[0] if before else None, limit=CONVERSATIONS_SHOWN + 1)
    shown = found[:CONVERSATIONS_SHOWN]
    after = records.written((shown[-1].last_at, "")) if len(found) > CONVERSATIONS_SHOWN else ""
    return render_template("console/conversations.html", talks=shown, after=after)


@blueprint.get("/usage/requests.csv")
def usage_csv() -> ResponseReturnValue:
    """Export the visitor's requests, filtered as the page is."""
    return records.records_csv(db.engine, records.asked(user_id=person().user.id), internal=False)


@blueprint.get("/usage/<any(hours, days):step>.csv")
def usage_sums_csv(step: str) -> ResponseReturnValue:
    """Export the visitor's sums by the hour (of a month) or by the day (of a year)."""
    days = HOURS_DAYS if step == "hours" else 12 * HOURS_DAYS
    begin = reports.days_ago(days, times.now())
    by = step.removesuffix("s")
    scope = Scope(user_id=person().user.id, model=request.args.get("model", "")[:200])
    return records.sums_csv(f"usage-{step}.csv", by, reports.grouped(scope, by, begin))
