"""The limits that people are given: set on a user, a token or a model, each change audited."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, select

from app.extensions import db
from app.models import Limit, Model, Token, User
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
    wanted = select(Limit.__table__).where(Limit.scope == scope).order_by(Limit.id)
    if ids is not None:
        wanted = wanted.where(Limit.subject_id.in_(ids))
    found: dict[int, tuple[Rule, ...]] = {}
    for row in connection.execute(wanted):
        found[row.subject_id] = found.get(row.subject_id, ()) + rules_of(row)
    return found


def rules_of(row: Any) -> tuple[Rule, ...]:
    """Return the rules that one row of limits stands for."""
    told = ((measure, getattr(row, measure.value)) for measure in Measure)
    return tuple(
        Rule(row.scope, row.subject_id, measure, most, row.model) for measure, most in told if most is not None
    )


def list_for(scope: str, subject_id: int) -> list[Limit]:
    """Return a subject's limits: those on everything first, then those on single models."""
    mine = select(Limit).where(Limit.scope == scope, Limit.subject_id == subject_id)
    return list(db.session.scalars(mine.order_by(Limit.model)))


def put(
    scope: str, subject_id: int, *, model: str = "", most: Mapping[Measure, int | None], actor: User | None
) -> None:
    """Set the limits of a subject, on everything or on one model; none of them at all takes the row away.

    Money is in nano-dollars. Raises ``AllowanceError`` for a subject that isn't there and for numbers out of range.
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
        for measure in Measure:
            setattr(row, measure.value, most.get(measure))
        told.after = _shown(row)
        if told.after:
            db.session.add(row)
        elif row.id is not None:
            db.session.execute(delete(Limit).where(Limit.id == row.id))


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
