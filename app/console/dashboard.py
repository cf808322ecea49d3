"""The home page: what is still to be set up, the newest tokens, the last requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import redirect, render_template, request, url_for

from app.console import blueprint
from app.console.guide import steps
from app.console.usage import own_records
from app.services import announcements, reports, tokens
from app.services.reports import Scope
from app.web import charts, times
from app.web.bars import standings_of
from app.web.people import person
from app.web.requests import token_names

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

TOKENS_SHOWN = 5
REQUESTS_SHOWN = 10
MODELS_SHOWN = 10


PERIODS = (1, 7, 30)
"""Days that may be looked at together, today included."""


@blueprint.get("/")
def dashboard() -> ResponseReturnValue:
    """Show the guide while something is missing, then what happened last."""
    mine = tokens.list_for(person().user)
    now = times.now()
    asked = request.args.get("days", default=7, type=int)
    days = asked if asked in PERIODS else 7
    scope = Scope(user_id=person().user.id)
    begin = reports.days_ago(days - 1, now)
    by, steps_of = ("hour", charts.hours) if days == 1 else ("day", charts.days)
    trend = steps_of(reports.trend(scope, by, begin, reports.days_ago(-1, now)))
    live = [token for token in mine if token.revoked_at is None]
    return render_template(
        "console/dashboard.html",
        guide=steps(has_token=bool(live)),
        tokens=live[:TOKENS_SHOWN],
        more=len(live) > TOKENS_SHOWN,
        reader=own_records(),
        requests=reports.last_requests(person().user, REQUESTS_SHOWN),
        token_names=token_names(mine),
        announcements=announcements.unread_by(person().user),
        limits=standings_of(person().user, live),
        now=now,
        days=days,
        since=begin.date(),
        totals=reports.totals(scope, begin),
        trend=trend,
        bars=charts.bars(trend),
        by_model=reports.leading(scope, "model", begin, MODELS_SHOWN),
    )


@blueprint.post("/announcements/<int:announcement_id>/read")
def read_announcement(announcement_id: int) -> ResponseReturnValue:
    """Put an announcement away, and those before it."""
    announcements.put_away(person().user, announcement_id)
    return redirect(url_for("console.dashboard"))
