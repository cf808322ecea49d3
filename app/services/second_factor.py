"""The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes for when it is lost."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyotp
import structlog
from sqlalchemy import CursorResult, delete, func, select, update

from app.extensions import db
from app.models import RecoveryCode, SecondFactor, User
from app.models.base import utcnow
from app.services import accounts, choices
from app.services.accounts import AccountError
from app.services.changes import change
from app.services.context import context
from app.services.vault import VaultError
from app.services.wording import say as _

if TYPE_CHECKING:
    from sqlalchemy.sql.dml import Delete, Update

STEP_S = 30
DRIFT = (0, -1, 1)
"""Steps by which an authenticator's clock may be off, the likeliest first."""
CODES, CODE_BYTES, GROUP = 10, 10, 4
log = structlog.get_logger()


def new_secret() -> str:
    """Return a secret to share with an authenticator: 160 bits in base32."""
    return pyotp.random_base32()


def address(user: User, secret: str) -> str:
    """Return what an authenticator reads from the picture: the secret, whose it is, and where."""
    where = urlsplit(context().settings.public_url).hostname
    return pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=f"Realms {where}")


def step_of(secret: str, code: str) -> int | None:
    """Return the step of time, now or one beside it, that ``code`` belongs to."""
    now, digits = int(utcnow().timestamp()) // STEP_S, "".join(code.split())
    totp, found = pyotp.TOTP(secret), None
    for drift in DRIFT:
        if secrets.compare_digest(totp.generate_otp(now + drift).encode(), digits.encode("utf-8", "replace")):
            found = now + drift if found is None else found
    return found


def is_on(user_id: int) -> bool:
    """Return whether this user's sign-ins need a second factor."""
    return db.session.scalar(select(SecondFactor.user_id).where(SecondFactor.user_id == user_id)) is not None


def is_missing(user: User) -> bool:
    """Return whether ``user`` has to set a second factor up before going on: settings may ask it of administrators."""
    return user.role == accounts.ADMIN and choices.present().admins_second_factor and not is_on(user.id)


def turn_on(user: User, *, secret: str, code: str) -> list[str]:
    """Ask for codes of ``secret`` from now on; return the recovery codes. Raises ``AccountError`` for a wrong code."""
    step = step_of(secret, code)
    if step is None:
        raise AccountError("code", _("This isn't the code that goes with it now. Is the clock of your device right?"))
    sealed = context().vault.seal(secret, origin=_origin(user.id))
    with change("user.second_factor_on", f"user {user.email}", actor=user):
        if is_on(user.id):
            raise AccountError("", _("You have a second factor already."))
        db.session.add(SecondFactor(user_id=user.id, sealed=sealed, last_step=step))
        db.session.flush()
        return _replace_codes(user.id)


def turn_off(user_id: int, *, actor: User | None) -> User:
    """Return the user whose sign-ins need no code any more.

    Who does it for somebody else ends all sign-ins of theirs. Raises ``AccountError``.
    """
    with change("user.second_factor_off", "user", actor=actor) as told:
        user = accounts.get_user(user_id)
        if user is None:
            raise AccountError("", _("There is no such user."))
        told.target, own = f"user {user.email}", actor is not None and actor.id == user_id
        if own and user.role == accounts.ADMIN and choices.present().admins_second_factor:
            raise AccountError("", _("Administrators need a second factor here."))
        if not _done(delete(SecondFactor).where(SecondFactor.user_id == user_id)):
            raise AccountError("", _("This user has no second factor."))
        db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
        if not own:
            accounts.end_sign_ins(user)
    return user


def new_codes(user: User) -> list[str]:
    """Return new recovery codes; the old ones are worth nothing from now on."""
    with change("user.recovery_codes", f"user {user.email}", actor=user):
        return _replace_codes(user.id)


def codes_left(user_id: int) -> int:
    """Return how many recovery codes are unused."""
    mine = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_id == user_id)
    return db.session.scalar(mine) or 0


def accepts(user_id: int, code: str) -> bool:
    """Return whether ``code`` is right, and use it up: a code of the authenticator, or one for its loss."""
    used = _use_step(user_id, code) or _use_recovery_code(user_id, code)
    db.session.commit()
    return used


def _use_step(user_id: int, code: str) -> bool:
    factor = db.session.scalar(select(SecondFactor).where(SecondFactor.user_id == user_id))
    if factor is None:
        return False
    try:
        step = step_of(context().vault.open(factor.sealed, origin=_origin(user_id)), code)
    except VaultError as error:
        log.warning("second_factor_unusable", user=user_id, error=str(error))
        return False
    if step is None:
        return False
    # Of two browsers that send one code at once, one finds the step unused.
    unused = (SecondFactor.user_id == user_id, SecondFactor.last_step < step)
    return _done(update(SecondFactor).where(*unused).values(last_step=step))


def _use_recovery_code(user_id: int, code: str) -> bool:
    mine = (RecoveryCode.digest == _digest(code), RecoveryCode.user_id == user_id)
    return _done(delete(RecoveryCode).where(*mine))


def _replace_codes(user_id: int) -> list[str]:
    db.session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = [_new_code() for _number in range(CODES)]
    db.session.add_all(RecoveryCode(digest=_digest(code), user_id=user_id) for code in codes)
    return codes


def _new_code() -> str:
    """Return 80 random bits in groups that can be written down and typed."""
    letters = pyotp.random_base32().lower()[: CODE_BYTES * 8 // 5]
    return "-".join(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))


def _digest(code: str) -> str:
    """People type codes with other blanks and letters than they were shown with."""
    typed = "".join(c for c in code.lower() if c.isalnum())
    return hashlib.sha256(typed.encode("utf-8", "replace")).hexdigest()


def _done(statement: Delete | Update) -> bool:
    result = db.session.execute(statement)
    return isinstance(result, CursorResult) and result.rowcount == 1


def _origin(user_id: int) -> str:
    """A secret is sealed to its user: another user's row is worth nothing."""
    return f"totp://user-{user_id}"
