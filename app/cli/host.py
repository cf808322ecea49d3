"""``flask drain``, ``flask chores`` and ``flask move``: what is done to a host, now and then, and once."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from app.cli.terminal import Refusing, answer, json_option, secret
from app.extensions import db
from app.services import chores as service
from app.services import leaving, moving
from app.services.context import context


@click.command("drain", cls=Refusing)
@click.option("--off", is_flag=True, help="Take it back.")
@click.option("--wait", default=0.0, metavar="SECONDS", help="Return after this: long enough for balancers to notice.")
@json_option
@with_appcontext
def drain(*, off: bool, wait: float, as_json: bool) -> None:
    """Let this host get no new calls: /readyz answers 503 until the next start."""
    folder = context().settings.data_dir
    try:
        (leaving.end if off else leaving.begin)(folder)
    except OSError as error:
        raise click.ClickException(f"{folder}: {error.strerror}") from None
    time.sleep(max(wait, 0))
    text = "This host is ready again." if off else "This host gets no new calls: /readyz answers 503."
    answer({"draining": not off}, as_json=as_json, text=text)


@click.command("chores", cls=Refusing)
@click.option("--every", default=0.0, metavar="SECONDS", help="Again and again, with so much time between.")
@json_option
@with_appcontext
def chores(*, every: float, as_json: bool) -> None:
    """Delete what is older than it has to be kept; several hosts may do so at once."""
    if not every:
        _tell(service.run(context().settings), as_json=as_json)
        return
    while True:
        try:
            _tell(service.run(context().settings), as_json=as_json)
        except SQLAlchemyError as error:
            click.echo(f"The database refuses: {getattr(error, 'orig', error)}", err=True)
        db.session.remove()
        time.sleep(every)


@click.command("move", cls=Refusing)
@click.option("--url-stdin", is_flag=True, help="Take the other database's URL from the first line of standard input.")
@json_option
@with_appcontext
def move(*, url_stdin: bool, as_json: bool) -> None:
    """Copy everything into another database, migrated and empty, while no server runs on this one."""
    moved = moving.move(secret("URL of the other database", option="--url-stdin", from_stdin=url_stdin))
    text = f"Moved {sum(moved.values())} rows. Now set REALMS_DATABASE_URL to the other database, and start."
    answer({"moved": moved}, as_json=as_json, text=text)


def _tell(done: dict[str, int], *, as_json: bool) -> None:
    text = "Deleted: " + ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in done.items())
    answer({"at": datetime.now(UTC).isoformat(timespec="seconds"), "deleted": done}, as_json=as_json, text=text)
