"""``flask explain``: where a call would go, or where one went, and why nowhere else."""

from __future__ import annotations

import click
import msgspec
from flask.cli import with_appcontext

from app.cli.terminal import Refusing, answer, json_option, table
from app.services import explanations
from app.services.context import context

ALONE = "Who is left out for now only the worker itself knows: see /admin/explain."


@click.command("explain", cls=Refusing)
@click.option("--model", default="", help="What a call would ask for.")
@click.option("--token", "token_id", type=int, help="Whose call: the id that flask tokens list shows.")
@click.option("--endpoint", default="", help="Such as chat.create; the usual one by default.")
@click.option("--conversation", default="", help="A conversation, as records name it.")
@click.option("--request", "request_id", default="", help="The id of a request that was made.")
@json_option
@with_appcontext
def explain(
    *, model: str, token_id: int | None, endpoint: str, conversation: str, request_id: str, as_json: bool
) -> None:
    """Tell where a call would go, or where one went, and why nowhere else."""
    if bool(model) == bool(request_id):
        raise click.UsageError("Give --model or --request.")
    if request_id:
        _tell_story(explanations.of_request(request_id), as_json=as_json)
        return
    explainer = context().explainer
    explainer.catch_up()
    rows = explanations.hypothetical(model=model, token_id=token_id, endpoint=endpoint, conversation=conversation)
    table([msgspec.structs.asdict(row) for row in rows], as_json=as_json, empty="No upstream serves this model.")
    if not explainer.sees_workers:
        click.echo(ALONE, err=True)


def _tell_story(story: explanations.Story, *, as_json: bool) -> None:
    if as_json:
        answer(msgspec.structs.asdict(story), as_json=True, text="")
        return
    table([story.record], as_json=False, empty="")
    table(story.attempts, as_json=False, empty="No upstream was asked.")
    if story.left_out:
        table(story.left_out, as_json=False, empty="")
