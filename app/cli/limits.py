"""``flask limits``: what users, tokens and models may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.cli.people import find_user
from app.cli.terminal import Commands, answer, json_option, table
from app.protocol.limit import Measure
from app.protocol.price import dollars, from_dollars
from app.services import allowances, catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.models import Limit

limits = Commands("limits", help="What users, tokens and models may use.")


class Dollars(click.ParamType[int]):
    """An amount in dollars, kept in nano-dollars."""

    name = "dollars"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return from_dollars(str(value))
        except ValueError:
            self.fail(f"{value} is no amount in dollars, such as 5 or 0.25", param, ctx)


def _measures(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option for each measure."""
    for measure in reversed(Measure):
        name = f"--{measure.value.replace('_', '-')}"
        kind = Dollars() if measure.is_money else click.IntRange(min=0)
        command = click.option(name, measure.value, type=kind, help=WORDS[measure])(command)
    return command


WORDS = {
    Measure.REQUESTS: "Requests a minute.",
    Measure.TOKENS: "Tokens a minute, without those read from a cache.",
    Measure.CONCURRENT: "Requests at a time.",
    Measure.DAY: "Dollars a day (UTC).",
    Measure.WEEK: "Dollars a week, from Monday on.",
    Measure.MONTH: "Dollars a month.",
    Measure.TOTAL: "Dollars in all.",
    Measure.CONVERSATION: "Dollars for one conversation.",
}


@limits.command("set")
@click.argument("scope", type=click.Choice(list(allowances.SUBJECTS)))
@click.argument("subject")
@click.option("--model", default="", help="Only for this model; a * at the end stands for every name so beginning.")
@_measures
@json_option
def set_limits(scope: str, subject: str, *, model: str, as_json: bool, **most: int | None) -> None:
    """Set all limits of a user (by address), a token (by id) or a model (by name); what isn't named isn't limited."""
    subject_id = _subject(scope, subject)
    wanted = {measure: most[measure.value] for measure in Measure}
    allowances.put(scope, subject_id, model=model, most=wanted, actor=None)
    value = {"scope": scope, "subject": subject, "model": model, **most}
    answer(value, as_json=as_json, text=f"The limits of {scope} {subject} are set.")


@limits.command("list")
@click.argument("scope", type=click.Choice(list(allowances.SUBJECTS)))
@click.argument("subject")
@json_option
def list_limits(scope: str, subject: str, as_json: bool) -> None:
    """List the limits of a user, a token or a model."""
    rows = [_row(each, as_json=as_json) for each in allowances.list_for(scope, _subject(scope, subject))]
    table(rows, as_json=as_json, empty=f"No limits. Set some: flask limits set {scope} {subject} --requests-minute 60")


def _subject(scope: str, subject: str) -> int:
    if scope == "user":
        return find_user(subject).id
    if scope == "token":
        if not subject.isdecimal():
            raise click.UsageError("A token is named by its id. See: flask tokens list")
        return int(subject)
    model = catalog.find_model(subject)
    if model is None:
        raise click.ClickException(f"There is no model {subject}. See: flask models list")
    return model.id


def _row(limit: Limit, *, as_json: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"model": limit.model or ("" if as_json else "all")}
    for measure in Measure:
        value = getattr(limit, measure.value)
        row[measure.value] = value if as_json or value is None or not measure.is_money else dollars(value)
    return row
