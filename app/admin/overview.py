"""The first page of administration: what needs doing, and how all is going."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import render_template

from app.admin import blueprint
from app.admin.states import states
from app.admin.warnings import warnings
from app.services import accounts, catalog, glance, reports
from app.services import upstreams as service
from app.services.context import context
from app.settings import VERSION
from app.web import times
from app.web.charts import bars, hours

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("")
def overview() -> ResponseReturnValue:
    """Show warnings, the last day's traffic, what failed, what was slow, and how each upstream is."""
    models = catalog.list_models()  # first: reading it lets go of what was loaded beside its upstreams
    upstreams = service.list_all()
    now = times.now()
    found = glance.glance(now)
    known = states(upstreams, found.day.upstreams)
    trend = hours(reports.filled(found.day.hours, "hour", found.day.begin.astimezone(now.tzinfo), now))
    return render_template(
        "admin/overview.html",
        warnings=warnings(upstreams, models),
        glance=found,
        looked_at=glance.LOOKED_AT,
        trend=trend,
        since=times.written(found.day.begin),
        bars=bars(trend),
        live=sum(state.under_way for state in known.values()),
        upstreams=upstreams,
        names={upstream.id: upstream.name for upstream in upstreams},
        states=known,
        models=models,
        users=accounts.count(),
        settings=context().settings,
        version=VERSION,
    )
