"""What every command shares: how it answers, how it refuses, and how it takes a secret."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click
from flask.cli import AppGroup
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import DBAPIError

from app.services.fields import FieldError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PIPE_WIDTH = 240
"""Columns of a table that no terminal shows, so that nothing is cut."""

json_option = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")


class Refusing(click.Command):
    """A command in which a service's refusal becomes exit code 1 and a sentence on standard error."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FieldError as error:
            raise click.ClickException(_with_field(error)) from None
        except DBAPIError as error:
            raise click.ClickException(f"The database refuses: {error.orig}\nAsk flask doctor what is wrong.") from None


class Commands(Refusing, AppGroup):
    """A group of such commands; each runs with the application's context."""


def answer(value: Mapping[str, Any], *, as_json: bool, text: str) -> None:
    """Print one result: ``text`` for people, ``value`` for programs."""
    click.echo(json.dumps(value, default=str) if as_json else text)


def table(rows: Sequence[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """Print rows under their names, or as a JSON list; ``empty`` is what people read when there are none."""
    if as_json:
        click.echo(json.dumps(list(rows), default=str))
    elif not rows:
        click.echo(empty)
    else:
        _print_table(rows)


def secret(what: str, *, option: str, from_stdin: bool, twice: bool = True) -> str:
    """Return a secret: the first line of standard input, or what a person at a terminal types (``twice`` if new)."""
    if from_stdin:
        value = sys.stdin.readline().rstrip("\r\n")
        if not value:
            raise click.UsageError(f"{option}: standard input is empty.")
        return value
    if not sys.stdin.isatty():
        raise click.UsageError(f"Give {option}: standard input is no terminal to ask at.")
    return str(click.prompt(what, hide_input=True, confirmation_prompt=twice))


def confirm(question: str) -> None:
    """Ask a person at a terminal before something that can't be undone; a script has meant it."""
    if sys.stdin.isatty():
        click.confirm(question, abort=True)


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        shown.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        shown.add_row(*(_cell(value) for value in row.values()))
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(width=width, markup=False, highlight=False, emoji=False).print(shown)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _with_field(error: FieldError) -> str:
    return f"{error.field}: {error}" if error.field else str(error)
