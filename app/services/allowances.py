"""The limits that people are given: set on a user, a token or a model, each change audited."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, func, select, update

from app.extensions import db
from app.models import Limit, Model, Token, User
from app.models.base import utcnow
from app.protocol.limit import Measure, Rule
from app.services.changes import change
from app.services.fields import FieldError, line
from app.services.wording import say as _

if TYPE_CHECKING:
    from collections.abc import Mapping

SUBJECTS: dict[str, Any] = {"user": User, "token": Token, "model": Model}
COUNT_MOST = 2_000_000_000
NANOS_MOST = 2_000_000_000 * 1_000_000_000


class AllowanceError(FieldError):
    """A limit that can't be set as asked."""


def rules(connection: Connection, scope: str, ids: Collection[int] | None) -> dict[int, tuple[Rule, ...]]:
    """Return the rules of these subjects (None: of all) by their id."""
    if ids is not None and not ids:
        return {}
    wanted = select(Limit.__table__, _counts_for(scope)).where(Limit.scope == scope).order_by(Limit.id)
    if ids is not None:
        wanted = wanted.where(Limit.subject_id.in_(ids))
    found: dict[int, tuple[Rule, ...]] = {}
    for row in connection.execute(wanted):
        found[row.subject_id] = found.get(row.subject_id, ()) + rules_of(row)
    return found


def _counts_for(scope: str) -> Any:
    """Return what a row counts for: a token that followed another for the first of them, so that all count together."""
    if scope != "token":
        return Limit.subject_id.label("counts_for")
    line = select(Token.line).where(Token.id == Limit.subject_id).scalar_subquery()
    return func.coalesce(line, Limit.subject_id).label("counts_for")


def rules_of(row: Any) -> tuple[Rule, ...]:
    """Return the rules that one row of limits stands for."""
    told = ((measure, getattr(row, measure.value)) for measure in Measure)
    return tuple(
        Rule(row.scope, row.counts_for, measure, most, row.model, row.counted_as)
        for measure, most in told
        if most is not None
    )


def list_for(scope: str, subject_id: int) -> list[Limit]:
    """Return a subject's limits: those on everything first, then those on single models."""
    mine = select(Limit).where(Limit.scope == scope, Limit.subject_id == subject_id)
    return list(db.session.scalars(mine.order_by(Limit.model)))


def present(scope: str, subject_id: int, *, model: str = "") -> dict[Measure, int | None]:
    """Return the limits of a subject on everything, or on one model, as ``put`` takes them."""
    row = db.session.scalar(_wanted(scope, subject_id, model))
    return {measure: getattr(row, measure.value, None) for measure in Measure}


def list_all(scope: str) -> list[tuple[str, Limit]]:
    """Return every limit of a scope with its subject's name (a user's is the address), by that name."""
    subject = SUBJECTS[scope]
    name = subject.email if scope == "user" else subject.name
    wanted = select(name, Limit).join(Limit, Limit.subject_id == subject.id).where(Limit.scope == scope)
    return [(row[0], row[1]) for row in db.session.execute(wanted.order_by(name, Limit.model))]


def put(
    scope: str,
    subject_id: int,
    *,
    model: str = "",
    most: Mapping[Measure, int | None],
    actor: User | None,
    counted_as: str = "",
) -> None:
    """Set the limits of a subject, on everything or on one model; none of them at all takes the row away.

    What was used is asked for anew where something is limited that wasn't, unless ``counted_as`` names a count that
    goes on. Money is in nano-dollars. Raises ``AllowanceError`` for a subject that isn't there and for numbers
    out of range.
    """
    model = line(model, field="model", longest=200, refuse=AllowanceError, empty=True)
    for measure, value in most.items():
        highest = NANOS_MOST if measure.is_money else COUNT_MOST
        if value is not None and not 0 <= value <= highest:
            raise AllowanceError(measure.value, _("Enter a number that is not negative and not absurdly large."))
    with change("limits.set", f"limits of {scope}", actor=actor) as told:
        told.target = f"limits of {_name(scope, subject_id)}" + (f" on {model}" if model else "")
        row = db.session.scalar(_wanted(scope, subject_id, model)) or Limit(
            scope=scope, subject_id=subject_id, model=model
        )
        told.before = _shown(row)
        if _begins(row, most):
            row.counted_as = counted_as or _new_count()
        for measure in Measure:
            setattr(row, measure.value, most.get(measure))
        told.after = _shown(row)
        if told.after:
            db.session.add(row)
        elif row.id is not None:
            db.session.execute(delete(Limit).where(Limit.id == row.id))


def hand_on(old: Token, new: Token, *, actor: User) -> None:
    """Give a token the limits of the one that it follows, with what was used of them."""
    for limit in list_for("token", old.id):
        most = present("token", old.id, model=limit.model)
        put("token", new.id, model=limit.model, most=most, actor=actor, counted_as=limit.counted_as)


def count_anew() -> None:
    """Let everything that was spent be asked of the sums again, for they have changed; within a change of the caller's.

    One name does for all: it is told apart by what it counts.
    """
    db.session.execute(update(Limit).values(counted_as=_new_count()))


def _begins(row: Limit, most: Mapping[Measure, int | None]) -> bool:
    """Whether something is limited now that wasn't, and lasts: nobody has counted it meanwhile."""
    lasting = [each for each in Measure if (each.is_money or each is Measure.CONCURRENT) and most.get(each) is not None]
    return any(getattr(row, measure.value) is None for measure in lasting)


def _new_count() -> str:
    return f"{int(utcnow().timestamp()):08x}{secrets.token_hex(4)}"


def _wanted(scope: str, subject_id: int, model: str) -> Any:
    return select(Limit).where(Limit.scope == scope, Limit.subject_id == subject_id, Limit.model == model)


def _name(scope: str, subject_id: int) -> str:
    """Return how the audit calls a subject. Raises ``AllowanceError`` when there is none such."""
    subject = db.session.get(SUBJECTS[scope], subject_id)
    if subject is None:
        raise AllowanceError("", _("There is nothing such to limit."))
    return f"{scope} {getattr(subject, 'email', None) or subject.name}"


def _shown(row: Limit) -> dict[str, int]:
    told = ((measure.value, getattr(row, measure.value)) for measure in Measure)
    return {name: value for name, value in told if value is not None}
