"""``flask admin``, ``flask users`` and ``flask setup-link``: who may sign in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from flask.cli import with_appcontext

from app.cli.terminal import Commands, Refusing, answer, json_option, secret, table
from app.services import accounts, second_factor, setup

if TYPE_CHECKING:
    from app.models import User

admin = Commands("admin", help="Administrators.")
users = Commands("users", help="People who may sign in.")

email_option = click.option("--email", required=True, help="The address to sign in with.")
name_option = click.option("--name", default="", help="What to call them.")
password_option = click.option(
    "--password-stdin", is_flag=True, help="Take the password from the first line of standard input."
)


@admin.command("create")
@email_option
@name_option
@password_option
@json_option
def create_admin(email: str, name: str, password_stdin: bool, as_json: bool) -> None:
    """Make an administrator; the first one ends set-up."""
    _create(email, role=accounts.ADMIN, name=name, password_stdin=password_stdin, as_json=as_json)


@users.command("create")
@email_option
@name_option
@password_option
@json_option
def create_user(email: str, name: str, password_stdin: bool, as_json: bool) -> None:
    """Make a user."""
    _create(email, role=accounts.USER, name=name, password_stdin=password_stdin, as_json=as_json)


@users.command("list")
@json_option
def list_users(as_json: bool) -> None:
    """List everybody."""
    rows = [_row(user) for user in accounts.list_users()]
    table(rows, as_json=as_json, empty="Nobody yet. Make an administrator: flask admin create --email you@example.com")


@users.command("disable")
@click.argument("email")
@json_option
def disable(email: str, as_json: bool) -> None:
    """Lock somebody out: their sign-ins end, their tokens are refused."""
    _set_disabled(email, disabled=True, as_json=as_json)


@users.command("enable")
@click.argument("email")
@json_option
def enable(email: str, as_json: bool) -> None:
    """Let somebody in again."""
    _set_disabled(email, disabled=False, as_json=as_json)


@users.command("remove-second-factor")
@click.argument("email")
@json_option
def remove_second_factor(email: str, as_json: bool) -> None:
    """Let somebody who lost authenticator and codes sign in with the password alone."""
    user = second_factor.turn_off(find_user(email).id, actor=None)
    answer(_row(user), as_json=as_json, text=f"{user.email} signs in with the password alone, and is signed out now.")


@click.command("setup-link", cls=Refusing)
@json_option
@with_appcontext
def setup_link(as_json: bool) -> None:
    """Print the address at which the first administrator is made."""
    if not setup.is_open():
        raise click.ClickException("Set-up is over: there is an administrator. More: flask admin create")
    answer({"link": setup.link()}, as_json=as_json, text=setup.link())


def find_user(email: str) -> User:
    """Return the person with this address, or refuse."""
    user = accounts.by_email(email)
    if user is None:
        raise click.ClickException(f"There is no user {email}. See: flask users list")
    return user


def _create(email: str, *, role: str, name: str, password_stdin: bool, as_json: bool) -> None:
    password = secret("Password", option="--password-stdin", from_stdin=password_stdin)
    user = accounts.create_user(email=email, password=password, name=name, role=role, actor=None)
    answer(_row(user), as_json=as_json, text=f"Made {user.role} {user.email}.")


def _set_disabled(email: str, *, disabled: bool, as_json: bool) -> None:
    user = accounts.set_disabled(find_user(email).id, disabled=disabled, actor=None)
    answer(_row(user), as_json=as_json, text=f"{user.email} is {'disabled' if disabled else 'enabled'}.")


def _row(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "enabled": user.disabled_at is None,
        "second_factor": second_factor.is_on(user.id),
        "created": user.created_at.isoformat(timespec="seconds"),
    }
