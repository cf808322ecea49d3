"""``flask usage``: what was used, and what it cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from app.cli.people import find_user
from app.cli.terminal import Commands, json_option, table
from app.protocol.price import dollars, exact_dollars
from app.services import history, reports
from app.services.history import Filter
from app.services.reports import Scope

if TYPE_CHECKING:
    from app.services.reports import Totals

usage = Commands("usage", help="What was used and what it cost.")
GROUPS = {
    "user": "user_id",
    "token": "token_id",
    "model": "model",
    "upstream": "upstream_id",
    "day": "day",
    "hour": "hour",
}


@usage.command("sums")
@click.option("--by", type=click.Choice(list(GROUPS)), default="model", show_default=True, help="One row for each.")
@click.option("--days", type=click.IntRange(min=1), default=30, show_default=True, help="Of so many days, with today.")
@click.option("--user", "email", help="Only of this user, by address.")
@json_option
def sums(*, by: str, days: int, email: str | None, as_json: bool) -> None:
    """Add up requests, tokens and cost."""
    scope = Scope(user_id=find_user(email).id) if email else Scope()
    found = reports.grouped(scope, GROUPS[by], reports.days_ago(days - 1, datetime.now(UTC)))
    table([_row(by, key, totals, as_json=as_json) for key, totals in found], as_json=as_json, empty="Nothing was used.")


@usage.command("records")
@click.option("--user", "email", help="Only of this user, by address.")
@click.option("--model", default="", help="Only of this model.")
@click.option("--status", default="", help="ok, error, or a number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="So many of the newest.")
@json_option
def records(*, email: str | None, model: str, status: str, limit: int, as_json: bool) -> None:
    """List the newest records that fit, as far back as one page looks."""
    if status not in {"", "ok", "error"} and not (status.isdecimal() and len(status) == 3):
        raise click.UsageError("--status is ok, error or a number such as 429.")
    wanted = Filter(user_id=find_user(email).id if email else None, model=model, status=status)
    rows = [_record(row, as_json=as_json) for row in history.page(wanted, limit=limit).records]
    table(rows, as_json=as_json, empty="No record fits.")


def _row(by: str, key: Any, totals: Totals, *, as_json: bool) -> dict[str, Any]:
    cost = exact_dollars(totals.cost_nanos) if as_json else dollars(totals.cost_nanos)
    return {
        by: key.isoformat(timespec="minutes") if isinstance(key, datetime) else key,
        "requests": totals.requests,
        "errors": totals.errors,
        "read": totals.read_tokens,
        "cached": totals.cache_read_tokens,
        "written": totals.output_tokens,
        "cost": cost,
        "unpriced": totals.unpriced,
    }


def _record(row: Any, *, as_json: bool) -> dict[str, Any]:
    told = dollars if not as_json else exact_dollars
    return {
        "at": row.at.isoformat(timespec="seconds"),
        "request_id": row.request_id,
        "user": row.user_id,
        "model": row.model,
        "endpoint": row.endpoint,
        "status": row.status,
        "end": row.end,
        "input": row.input_tokens,
        "output": row.output_tokens,
        "cost": None if row.cost_nanos is None else told(row.cost_nanos),
    }
