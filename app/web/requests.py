"""Request records as both rooms show them: people read their own, redacted; administrators read everybody's, whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import abort, redirect, render_template, request, url_for

from app.extensions import db
from app.services import accounts, explanations, history, reports, tokens, upstreams
from app.services.invoice import invoice
from app.services.reports import Scope
from app.web import records, times

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from flask import Response
    from flask.typing import ResponseReturnValue

    from app.models import Token, User
    from app.services.reports import Totals

PERIODS = (1, 7, 30)
CHOICES_MOST = 100
"""People whom a form lets choose from; where there are more, an address is typed in."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: ``owner`` their own records, nobody in particular (an administrator) everybody's."""

    owner: User | None
    listed: str
    one: str
    exported: str

    @property
    def sees_all(self) -> bool:
        """Whether upstreams, credentials and other people are shown. Everything redacted is so by this alone."""
        return self.owner is None

    @property
    def user_id(self) -> int | None:
        return self.owner.id if self.owner else None


def list_for(reader: Reader) -> ResponseReturnValue:
    """List records, with the sums of today, a week and a month; or go to the one that a request id names."""
    named = request.args.get("id", "").strip()[:64]
    if named and (found := history.named(named, user_id=reader.user_id)):
        return redirect(url_for(reader.one, record_id=found.id))
    wanted = records.asked(user_id=reader.user_id)
    page = history.page(wanted, after=records.cursor())
    return render_template(
        "requests.html",
        reader=reader,
        page=page,
        after=records.written(page.after),
        asked=records.values(),
        people=_people(reader, wanted.user_id),
        ends=records.END_CHOICES,
        missing=named,
        totals=sums_of(reader.user_id),
        **_names(reader, {record.user_id for record in page.records}),
    )


def sums_of(user_id: int | None) -> list[tuple[int, date, Totals]]:
    """Return the sums of today, a week and a month, of a user or of everybody: of how many days, since when, what."""
    now = times.now()
    begins = [reports.days_ago(days - 1, now) for days in PERIODS]
    sums = reports.totals_since(Scope(user_id=user_id), begins)
    return [(days, begin.date(), each) for days, begin, each in zip(PERIODS, begins, sums, strict=True)]


def show_to(reader: Reader, record_id: str) -> ResponseReturnValue:
    """Show one request: what was tried in which order and what was left out, times, and the working of its cost."""
    found = history.get(record_id[:32], user_id=reader.user_id) or abort(404)
    attempts = history.attempts(found.id)
    return render_template(
        "request.html",
        reader=reader,
        record=found,
        lines=invoice(found),
        attempts=attempts,
        left_out=explanations.left_out(found)
        if reader.sees_all
        else [("", reason) for _, reason in found.left_out or ()],
        bundle=records.bundle(found, attempts, internal=reader.sees_all),
        **{"tokens": tokens.names({found.token_id})} | _names(reader, {found.user_id}),
    )


def export_for(reader: Reader) -> Response:
    """Export the records that the page lists, filtered as it is."""
    return records.records_csv(db.engine, records.asked(user_id=reader.user_id), internal=reader.sees_all)


def token_names(mine: Iterable[Token]) -> dict[int, str]:
    """Return what tokens are called; those of one name, as a rotated one and the next, with how they end."""
    mine = list(mine)
    known = Counter(token.name for token in mine)
    return {each.id: each.name if known[each.name] == 1 else f"{each.name} …{each.last4}" for each in mine}


def _people(reader: Reader, wanted: int | None) -> dict[str, Any]:
    """Return whom the records can be filtered by: a list while it is short, and the address of who is asked for."""
    if reader.owner:
        return {}
    found = accounts.get_user(wanted) if wanted else None
    few = accounts.list_users() if accounts.count() <= CHOICES_MOST else []
    return {"choices": [(user.id, user.email) for user in few], "number": wanted, "email": found.email if found else ""}


def _names(reader: Reader, user_ids: set[int]) -> dict[str, dict[int, str]]:
    """Return what stands for numbers on these pages: one's tokens, or these users and every upstream."""
    if reader.owner:
        return {"tokens": token_names(tokens.list_for(reader.owner))}
    return {
        "users": accounts.emails(user_ids),
        "upstreams": {each.id: each.name for each in upstreams.list_all()},
    }
