"""Tokens: minted once, shown once, kept as a digest."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from app.extensions import db
from app.models import Token, User
from app.models.base import utcnow
from app.services.changes import change
from app.services.fields import FieldError, line
from app.services.wording import say as _

PREFIX = "sk_"
SHOW_REVOKED = timedelta(days=30)


class TokenError(FieldError):
    """A token that can't be made as asked."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token; ``secret`` is never to be had again."""

    token: Token
    secret: str = field(repr=False)


def new_secret() -> str:
    """Return a secret that no token has yet."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is kept of a secret: the SHA-256 of all of it, in hex."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def mint(
    user: User,
    *,
    name: str,
    expires_at: datetime | None = None,
    models: list[str] | None = None,
    actor: User | None,
    secret: str | None = None,
) -> Minted:
    """Return a new token of ``user`` and its secret; ``models`` None allows all of them.

    A form that may be sent twice brings the ``secret`` that ``new_secret`` made for it: the second time the answer is
    the token that the first made. Raises ``TokenError``: no name, an end that has passed, an empty list of models.
    """
    name = line(name, field="name", longest=100, refuse=TokenError)
    if expires_at is not None and expires_at <= utcnow():
        raise TokenError("expires_at", _("Choose a moment in the future."))
    if models is not None and not models:
        raise TokenError("models", _("Choose at least one model, or all of them."))
    secret = secret or new_secret()
    token = Token(user_id=user.id, name=name, digest=digest(secret), last4=secret[-4:], models=models)
    token.expires_at = expires_at
    try:
        with change("token.create", f"token {user.email}/{name}", actor=actor) as told:
            db.session.add(token)
            db.session.flush()
            told.after = {"id": token.id, "models": models, "expires_at": expires_at and expires_at.isoformat()}
    except IntegrityError:
        made = select(Token).where(Token.digest == digest(secret), Token.user_id == user.id)
        return Minted(db.session.scalars(made).one(), secret)
    return Minted(token, secret)


def list_for(user: User) -> list[Token]:
    """Return the tokens of ``user``, newest first; a revoked one for 30 days more."""
    visible = or_(Token.revoked_at.is_(None), Token.revoked_at > utcnow() - SHOW_REVOKED)
    return list(db.session.scalars(select(Token).where(Token.user_id == user.id, visible).order_by(Token.id.desc())))


def list_all() -> list[Token]:
    """Return everybody's tokens with their users, newest first."""
    return list(db.session.scalars(select(Token).options(joinedload(Token.user)).order_by(Token.id.desc())))


def get_for(user: User, token_id: int) -> Token | None:
    """Return a token of ``user``, never another's."""
    return db.session.scalar(select(Token).where(Token.id == token_id, Token.user_id == user.id))


def revoke(token_id: int, *, actor: User | None, owner: User | None) -> bool:
    """Refuse a token from now on; return False when there is none such of ``owner`` (None: of anybody)."""
    wanted = select(Token).where(Token.id == token_id).options(joinedload(Token.user))
    if owner is not None:
        wanted = wanted.where(Token.user_id == owner.id)
    token = db.session.scalar(wanted)
    if token is None:
        return False
    if token.revoked_at is None:
        with change("token.revoke", f"token {token.user.email}/{token.name}", actor=actor) as told:
            token.revoked_at = utcnow()
            told.before = {"id": token.id, "last4": token.last4}
    return True
