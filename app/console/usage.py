"""One's own requests: what they used and cost, one by one, by conversation, and as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template, request

from app.console import blueprint
from app.extensions import db
from app.services import reports, talks
from app.services.reports import Scope
from app.web import records, requests, times
from app.web.people import person
from app.web.requests import Reader

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

CONVERSATIONS_SHOWN = 50
HOURS_DAYS = 31


@blueprint.get("/usage")
def usage() -> ResponseReturnValue:
    """List the visitor's requests."""
    return requests.list_for(own_records())


@blueprint.get("/usage/<record_id>")
def usage_record(record_id: str) -> ResponseReturnValue:
    """Show one of the visitor's requests, without what only administrators see."""
    return requests.show_to(own_records(), record_id)


@blueprint.get("/usage/conversations")
def conversations() -> ResponseReturnValue:
    """List the visitor's conversations, the last heard of first."""
    found = talks.latest(person().user.id, before=records.cursor(), limit=CONVERSATIONS_SHOWN + 1)
    shown = found[:CONVERSATIONS_SHOWN]
    after = records.written((shown[-1].last_at, shown[-1].key)) if len(found) > CONVERSATIONS_SHOWN else ""
    return render_template("console/conversations.html", talks=shown, after=after)


@blueprint.get("/usage/requests.csv")
def usage_csv() -> ResponseReturnValue:
    """Export the visitor's requests, filtered as the page is."""
    return requests.export_for(own_records())


@blueprint.get("/usage/<any(hours, days):step>.csv")
def usage_sums_csv(step: str) -> ResponseReturnValue:
    """Export the visitor's sums by the hour (of a month) or by the day (of a year)."""
    days = HOURS_DAYS if step == "hours" else 12 * HOURS_DAYS
    now, by = times.now(), step.removesuffix("s")
    scope = Scope(user_id=person().user.id, model=request.args.get("model", "")[:200])
    sums = reports.every(db.engine, scope, by, reports.days_ago(days, now), now)
    return records.sums_csv(f"usage-{step}.csv", by, sums)


def own_records() -> Reader:
    """Return the visitor as a reader of their own records."""
    return Reader(person().user, "console.usage", "console.usage_record", "console.usage_csv")
