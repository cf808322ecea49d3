"""``flask keys``: the keys of the vault."""

from __future__ import annotations

import click

from app.cli.terminal import Commands, answer, json_option
from app.services.resealing import reseal

keys = Commands("keys", help="The keys that seal upstream secrets and second factors.")


@keys.command("rotate")
@json_option
@click.pass_context
def rotate(ctx: click.Context, as_json: bool) -> None:
    """Seal every credential and second factor with the first of REALMS_VAULT_KEYS: the others may go then."""
    sealed, broken = reseal(actor=None)
    answer({"sealed": sealed, "broken": broken}, as_json=as_json, text=f"{sealed} secrets sealed with the first key.")
    for name in broken:
        click.echo(f"{name}: no key of REALMS_VAULT_KEYS opens it; add the one that does, or enter it again.", err=True)
    ctx.exit(1 if broken else 0)
