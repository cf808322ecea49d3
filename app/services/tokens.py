"""Tokens: minted once, shown once, kept as a digest."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload

from app.extensions import db
from app.models import Cut, Token, User
from app.models.base import utcnow
from app.services import allowances, choices
from app.services.changes import change
from app.services.fields import FieldError, line
from app.services.wording import say as _

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.protocol.limit import Measure

PREFIX = "sk_"
SHOW_REVOKED = timedelta(days=30)
NETWORKS_MAX = 50
TOKENS_MAX = 1000
"""Tokens of one user that can be used."""


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
    networks: list[str] | None = None,
    most: Mapping[Measure, int | None] | None = None,
    actor: User | None,
    secret: str | None = None,
) -> Minted:
    """Return a new token of ``user`` and its secret; ``models`` and ``networks`` None allow all of them.

    A form that may be sent twice brings the ``secret`` that ``new_secret`` made for it: the second time the answer is
    the token that the first made. ``most`` are its limits, there from its first moment. Raises ``FieldError``: no name,
    an end that has passed, an empty list of models, what is no network and no limit, more than ``TOKENS_MAX``.
    """
    name = line(name, field="name", longest=100, refuse=TokenError)
    expires_at = _allowed_end(expires_at, None)
    if models is not None and not models:
        raise TokenError("models", _("Choose at least one model, or all of them."))
    networks = normal_networks(networks or [])
    secret = secret or new_secret()
    _require_room(user, secret)
    token = Token(
        user_id=user.id, name=name, digest=digest(secret), last4=secret[-4:], models=models, networks=networks
    )
    token.expires_at = expires_at
    try:
        with change("token.create", f"token {user.email}/{name}", actor=actor) as told:
            db.session.add(token)
            db.session.flush()
            told.after = _shown(token)
            _limit(token, most, actor=actor)
    except IntegrityError:
        made = select(Token).where(Token.digest == digest(secret), Token.user_id == user.id)
        return Minted(db.session.scalars(made).one(), secret)
    return Minted(token, secret)


def _require_room(user: User, secret: str) -> None:
    """Raise ``TokenError`` where a user has so many tokens that a page would no longer list them."""
    alive = Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > utcnow())
    others = select(func.count()).where(Token.user_id == user.id, *alive, Token.digest != digest(secret))
    if (db.session.scalar(others) or 0) >= TOKENS_MAX:
        raise TokenError("name", _("There are %(count)d tokens already. Revoke some first.", count=TOKENS_MAX))


def list_for(user: User) -> list[Token]:
    """Return the tokens of ``user``, newest first; a revoked one for 30 days more."""
    visible = or_(Token.revoked_at.is_(None), Token.revoked_at > utcnow() - SHOW_REVOKED)
    return list(db.session.scalars(select(Token).where(Token.user_id == user.id, visible).order_by(Token.id.desc())))


def usable(user: User) -> list[Token]:
    """Return those tokens of ``user`` that calls can be made with, newest first."""
    now = utcnow()
    return [
        token
        for token in list_for(user)
        if token.revoked_at is None and (token.expires_at is None or token.expires_at > now)
    ]


def list_all() -> list[Token]:
    """Return everybody's tokens with their users, newest first."""
    return list(db.session.scalars(select(Token).options(joinedload(Token.user)).order_by(Token.id.desc())))


def names(token_ids: set[int]) -> dict[int, str]:
    """Return what these tokens are called."""
    rows = db.session.execute(select(Token.id, Token.name).where(Token.id.in_(token_ids)))
    return {row.id: row.name for row in rows}


def get_for(user: User, token_id: int) -> Token | None:
    """Return a token of ``user``, never another's."""
    return db.session.scalar(select(Token).where(Token.id == token_id, Token.user_id == user.id))


def update(
    token: Token,
    *,
    name: str,
    expires_at: datetime | None,
    models: list[str] | None,
    networks: list[str],
    most: Mapping[Measure, int | None] | None = None,
    actor: User,
) -> None:
    """Change what a token is called, may do and may use; its secret stays. Raises ``FieldError`` as ``mint`` does."""
    name = line(name, field="name", longest=100, refuse=TokenError)
    expires_at = _allowed_end(expires_at, token)
    if models is not None and not models:
        raise TokenError("models", _("Choose at least one model, or all of them."))
    normal = normal_networks(networks)
    with change("token.update", f"token {actor.email}/{name}", actor=actor) as told:
        told.before = _shown(token)
        token.name, token.expires_at, token.models, token.networks = name, expires_at, models, normal
        told.after = _shown(token)
        _limit(token, most, actor=actor)


def rotate(token: Token, *, overlap: timedelta, actor: User, secret: str) -> Minted:
    """Return a new token that may do what ``token`` may; the old one ends after ``overlap``.

    A form that is sent twice brings the same ``secret``, and makes one token.
    """
    minted = mint(
        actor,
        name=token.name,
        expires_at=token.expires_at,
        models=token.models,
        networks=token.networks,
        actor=actor,
        secret=secret,
    )
    allowances.hand_on(token, minted.token, actor=actor)  # whoever was limited doesn't get rid of it this way
    ends = minted.token.created_at + overlap
    with change("token.rotate", f"token {actor.email}/{token.name}", actor=actor) as told:
        told.before = _shown(token)
        minted.token.line = token.line or token.id
        token.expires_at = ends if token.expires_at is None else min(token.expires_at, ends)
        told.after = {"id": minted.token.id, "old": _shown(token)}
    return minted


def normal_networks(entered: list[str]) -> list[str] | None:
    """Return networks as they are kept; None for none. Raises ``TokenError`` for what is no address and no range."""
    try:
        found = [str(ip_network(each.strip(), strict=False)) for each in entered if each.strip()]
    except ValueError as error:
        message = _("%(entered)s is no address and no range such as 10.0.0.0/8.", entered=str(error).split(" ")[0])
        raise TokenError("networks", message) from None
    if len(found) > NETWORKS_MAX:
        raise TokenError("networks", _("At most %(count)d ranges fit here.", count=NETWORKS_MAX))
    return found or None


def _limit(token: Token, most: Mapping[Measure, int | None] | None, *, actor: User | None) -> None:
    """Set what a token may use in all, inside a change, where that is asked for and another than now."""
    if most is not None and most != allowances.present("token", token.id):
        allowances.put("token", token.id, most=most, actor=actor)


def _allowed_end(wanted: datetime | None, token: Token | None) -> datetime | None:
    """Return the end that a token gets: as wanted, within what administrators chose. Raises ``TokenError``."""
    if token is not None and wanted is not None and wanted == token.expires_at:
        return wanted
    if wanted is not None and wanted <= utcnow():
        raise TokenError("expires_on", _("Choose a moment in the future."))
    days = choices.present().token_days
    if not days or (token is not None and wanted == token.expires_at):
        return wanted
    latest = utcnow() + timedelta(days=days)
    if wanted is not None and wanted > latest:
        raise TokenError("expires_on", _("Tokens live for at most %(days)d days here.", days=days))
    return wanted or latest


def _shown(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "models": token.models,
        "networks": token.networks,
        "expires_at": token.expires_at and token.expires_at.isoformat(),
    }


def revoke(token_id: int, *, actor: User | None, owner: User | None, cut: bool = False) -> bool:
    """Refuse a token from now on, with ``cut`` also end its running calls.

    Returns False when there is none such of ``owner`` (None: of anybody).
    """
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
            if cut:
                db.session.add(Cut(token_id=token.id))
    return True
