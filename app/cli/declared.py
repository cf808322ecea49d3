"""``flask export`` and ``flask apply``: the configuration as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask.cli import with_appcontext

from app.cli.terminal import Refusing, answer, json_option
from app.services.declared import applying, writing
from app.services.declared.reading import FileError, read

if TYPE_CHECKING:
    from app.services.declared.comparing import Step

EXIT_CHANGES = 3
"""What ``--plan`` exits with when there is something to do: 1 and 2 mean that the command failed."""
SIGNS = {"create": "+", "update": "~", "adopt": "="}


@click.command("export", cls=Refusing)
@click.option("--references", is_flag=True, help="Name a place in the environment for each key that was entered.")
@click.option(
    "--only", multiple=True, type=click.Choice(applying.sections()), help="Only this section; several may be named."
)
@json_option
@with_appcontext
def export(*, references: bool, only: tuple[str, ...], as_json: bool) -> None:
    """Print the configuration as a YAML file, without any secret."""
    told = writing.written(only=only, references=references)
    click.echo(json.dumps(told) if as_json else writing.as_yaml(told), nl=as_json)


@click.command("apply", cls=Refusing)
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--plan", "only_plan", is_flag=True, help="Show what would be done; exit 3 when there is something.")
@click.option("--adopt", multiple=True, metavar="PATTERN", help="Let the file have these rows that it didn't make.")
@click.option("--prune", is_flag=True, help="Also take away what files made and this one leaves out.")
@json_option
@click.pass_context
@with_appcontext
def apply(
    ctx: click.Context, *, file: Any, only_plan: bool, adopt: tuple[str, ...], prune: bool, as_json: bool
) -> None:
    """Bring the configuration to what FILE says (- is standard input), all of it or nothing."""
    work = applying.plan if only_plan else applying.apply
    try:
        document = read(file.read(), folder=_folder(file.name))
        steps = work(document, adopt=adopt, prune=prune)
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name}: is no UTF-8 text") from None
    except FileError as error:
        for problem in error.problems:
            click.echo(f"{file.name}: {problem}", err=True)
        ctx.exit(1)
    told = [step.told() for step in steps]
    answer({"applied": not only_plan, "steps": told}, as_json=as_json, text=_text(steps, only_plan=only_plan))
    ctx.exit(EXIT_CHANGES if only_plan and steps else 0)


def _folder(name: str) -> Path:
    """Return what the paths of references are relative to."""
    return Path() if name in {"-", "<stdin>"} else Path(name).parent


def _text(steps: list[Step], *, only_plan: bool) -> str:
    lines = [line for step in steps for line in _lines(step.told())]
    count = f"{len(steps)} {'row' if len(steps) == 1 else 'rows'}"
    if not steps:
        return "Nothing to do: everything is as the file says."
    return "\n".join([*lines, f"{count} would change." if only_plan else f"{count} changed."])


def _lines(told: dict[str, Any]) -> list[str]:
    changes = [
        f"    {name}: {_value(after) if told['what'] == 'create' else f'{_value(before)} -> {_value(after)}'}"
        for name, (before, after) in told["changes"].items()
        if (before, after) != (None, None)
    ]
    return [f"{SIGNS.get(told['what'], '-')} {told['path']} ({told['what']})", *changes]


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value is not None else "-"
