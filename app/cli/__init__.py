"""The command line: ``flask --app wsgi …``. Exit 0 done, 1 refused (told on standard error), 2 wrong usage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.cli.declared import apply, export
from app.cli.doctor import doctor
from app.cli.explain import explain
from app.cli.host import chores, drain, move
from app.cli.keys import keys
from app.cli.limits import limits
from app.cli.models import models
from app.cli.people import admin, setup_link, users
from app.cli.prices import prices
from app.cli.tokens import tokens
from app.cli.upstreams import upstreams
from app.cli.usage import usage

if TYPE_CHECKING:
    from flask import Flask


def register(app: Flask) -> None:
    """Add every command of ours to ``flask``."""
    people = (admin, users, setup_link, tokens)
    catalogue = (upstreams, models, prices, limits, usage, explain)
    for command in (*people, *catalogue, keys, export, apply, chores, drain, move, doctor):
        app.cli.add_command(command)
