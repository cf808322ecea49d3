"""``flask tokens``: API keys of users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.cli.people import find_user
from app.cli.terminal import Commands, answer, json_option, table
from app.models.base import utcnow
from app.services import tokens as service

if TYPE_CHECKING:
    from datetime import datetime

    from app.models import Token

tokens = Commands("tokens", help="API keys of users.")


@tokens.command("create")
@click.option("--user", "email", required=True, help="Whose token it will be, by address.")
@click.option("--name", required=True, help="What it is for.")
@json_option
def create(email: str, name: str, as_json: bool) -> None:
    """Make a token and print its secret, which is never shown again."""
    user = find_user(email)
    minted = service.mint(user, name=name, actor=None)
    value = {"id": minted.token.id, "user": user.email, "name": minted.token.name, "secret": minted.secret}
    answer(value, as_json=as_json, text=minted.secret)


@tokens.command("list")
@json_option
def list_tokens(as_json: bool) -> None:
    """List everybody's tokens."""
    rows = [_row(token) for token in service.list_all()]
    table(
        rows, as_json=as_json, empty="No tokens yet. Make one: flask tokens create --user you@example.com --name laptop"
    )


@tokens.command("revoke")
@click.argument("token_id", type=int, metavar="ID")
@json_option
def revoke(token_id: int, as_json: bool) -> None:
    """Refuse a token from now on."""
    if not service.revoke(token_id, actor=None, owner=None):
        raise click.ClickException(f"There is no token {token_id}. See: flask tokens list")
    answer({"id": token_id, "state": "revoked"}, as_json=as_json, text=f"Token {token_id} is revoked.")


def _row(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "user": token.user.email,
        "name": token.name,
        "token": f"{service.PREFIX}…{token.last4}",
        "state": _state(token),
        "created": _moment(token.created_at),
        "used": _moment(token.used_at),
        "expires": _moment(token.expires_at),
    }


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at is not None and token.expires_at <= utcnow() else "active"


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at else None
