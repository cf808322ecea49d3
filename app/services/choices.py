"""What administrators choose at run time; everything else is fixed by the environment (see ``app.settings``)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace

from sqlalchemy import select

from app.extensions import db
from app.models import Choice, User
from app.services.changes import change
from app.services.context import context
from app.services.fields import FieldError, choice, line, number
from app.services.wording import say as _

TOKEN_DAYS_MOST = 3650
CONTACT_LONGEST = 200
YES = "yes"
CLOSED, INVITED, OPEN = REGISTRATIONS = ("closed", "invited", "open")
DOMAINS_LONGEST = 500
_DOMAIN = re.compile(r"\*|[^\s@*]+\.[^\s@*]+")


@dataclass(frozen=True, slots=True)
class Choices:
    """``token_days``: the longest life of a new token (0: no end). ``contact``: whom to ask for help, as text.

    ``admins_second_factor``: whether administrators must have a second factor. ``registration``: who may make an
    account (``closed``: nobody, ``invited``, ``open``: whose address is in one of ``mail_domains``; ``*`` is any).
    """

    token_days: int = 0
    contact: str = ""
    admins_second_factor: bool = False
    registration: str = INVITED
    mail_domains: str = ""

    def may_register(self, email: str) -> bool:
        """Whether this address is of a domain whose people may make accounts of their own."""
        domains = self.mail_domains.split()
        return self.registration == OPEN and ("*" in domains or email.lower().rpartition("@")[2] in domains)


def present() -> Choices:
    """Return what is chosen now."""
    found = {row.name: row.value for row in rows()}
    return Choices(
        token_days=int(found.get("token_days", "0")),
        contact=found.get("contact", ""),
        admins_second_factor=found.get("admins_second_factor") == YES,
        registration=found.get("registration", INVITED),
        mail_domains=found.get("mail_domains", ""),
    )


def rows() -> list[Choice]:
    """Return what was ever chosen, one row for each name."""
    return list(db.session.scalars(select(Choice)))


def choose(choices: Choices, *, actor: User | None) -> None:
    """Keep other choices. Raises ``FieldError``."""
    number(choices.token_days, field="token_days", lowest=0, highest=TOKEN_DAYS_MOST, refuse=FieldError)
    contact = line(choices.contact, field="contact", longest=CONTACT_LONGEST, refuse=FieldError, empty=True)
    choice(choices.registration, field="registration", known=REGISTRATIONS, refuse=FieldError)
    domains = _domains(choices)
    with change("settings.update", "settings", actor=actor) as told:
        told.before, told.after = asdict(present()), asdict(replace(choices, contact=contact, mail_domains=domains))
        for name, value in told.after.items():
            db.session.merge(Choice(name=name, value=_kept(value)))


def _domains(choices: Choices) -> str:
    """Return the domains, one blank between them. An open door needs one, and mail to find out whose an address is."""
    domains = choices.mail_domains.lower().replace(",", " ").split()
    if not all(map(_DOMAIN.fullmatch, domains)) or len(" ".join(domains)) > DOMAINS_LONGEST:
        raise FieldError("mail_domains", _("Enter domains such as example.com, or * for any."))
    if choices.registration == OPEN and not domains:
        raise FieldError("mail_domains", _("Enter the domains whose people may register, or * for any."))
    if choices.registration == OPEN and not context().mail.offered:
        raise FieldError("registration", _("This needs mail (REALMS_SMTP_URL), which shows that an address is theirs."))
    return " ".join(domains)


def _kept(value: object) -> str:
    return (YES if value else "") if isinstance(value, bool) else str(value)
