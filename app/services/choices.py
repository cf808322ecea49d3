"""What administrators choose at run time; everything else is fixed by the environment (see ``app.settings``)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from sqlalchemy import select

from app.extensions import db
from app.models import Choice, User
from app.services.changes import change
from app.services.fields import FieldError, line, number

TOKEN_DAYS_MOST = 3650
CONTACT_LONGEST = 200
YES = "yes"


@dataclass(frozen=True, slots=True)
class Choices:
    """``token_days``: the longest life of a new token (0: no end). ``contact``: whom to ask for help, as text.

    ``admins_second_factor``: whether administrators must have a second factor.
    """

    token_days: int = 0
    contact: str = ""
    admins_second_factor: bool = False


def present() -> Choices:
    """Return what is chosen now."""
    found = {row.name: row.value for row in db.session.scalars(select(Choice))}
    return Choices(
        token_days=int(found.get("token_days", "0")),
        contact=found.get("contact", ""),
        admins_second_factor=found.get("admins_second_factor") == YES,
    )


def choose(choices: Choices, *, actor: User) -> None:
    """Keep other choices. Raises ``FieldError``."""
    number(choices.token_days, field="token_days", lowest=0, highest=TOKEN_DAYS_MOST, refuse=FieldError)
    contact = line(choices.contact, field="contact", longest=CONTACT_LONGEST, refuse=FieldError, empty=True)
    with change("settings.update", "settings", actor=actor) as told:
        told.before, told.after = asdict(present()), asdict(replace(choices, contact=contact))
        for name, value in told.after.items():
            db.session.merge(Choice(name=name, value=_kept(value)))


def _kept(value: object) -> str:
    return (YES if value else "") if isinstance(value, bool) else str(value)
