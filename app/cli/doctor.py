"""``flask doctor``: what is wrong with this deployment, and how to mend it."""

from __future__ import annotations

import click
from flask.cli import with_appcontext
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from app.cli.checks import CHECKS, Check
from app.cli.hops import Walk
from app.cli.terminal import answer, json_option, secret, table
from app.services.context import context


@click.command("doctor")
@click.option("--client", is_flag=True, help="Walk the way of a client's calls instead, with a token of yours.")
@click.option("--url", default="", help="With --client: where to, without /v1; REALMS_PUBLIC_URL by default.")
@click.option("--token-stdin", is_flag=True, help="With --client: the token is the first line of standard input.")
@click.option("--model", default="", help="With --client: the model to try; the first listed by default.")
@json_option
@click.pass_context
@with_appcontext
def doctor(ctx: click.Context, *, client: bool, url: str, token_stdin: bool, model: str, as_json: bool) -> None:
    """Check this deployment; exit 1 when something must be mended."""
    if client:
        token = secret("Token", option="--token-stdin", from_stdin=token_stdin, twice=False)
        walk = Walk((url or context().settings.public_url).rstrip("/"), token, model)
        _tell(ctx, list(walk.checks()), settings={}, as_json=as_json)
    else:
        _tell(ctx, _examine(), settings=_settings(), as_json=as_json)


def _tell(ctx: click.Context, checks: list[Check], *, settings: dict[str, str], as_json: bool) -> None:
    ok = not any(check.failed for check in checks)
    if as_json:
        told = [{"name": c.name, "state": c.state, "detail": c.detail, "fix": c.fix} for c in checks]
        answer({"ok": ok, "checks": told, "settings": settings}, as_json=True, text="")
    else:
        if settings:
            table([{"setting": k, "value": v} for k, v in settings.items()], as_json=False, empty="")
            click.echo()
        table([{"check": c.name, "state": c.state, "detail": c.detail} for c in checks], as_json=False, empty="")
        for check in checks:
            if check.fix:
                click.echo(f"\n{check.name}: {check.fix}", err=check.failed)
    ctx.exit(0 if ok else 1)


def _examine() -> list[Check]:
    found: list[Check] = []
    for examine in CHECKS:
        found += examine()
        if found[-1].fatal:
            break  # what comes after would only fail for the same reason
    return found


def _settings() -> dict[str, str]:
    settings = context().settings
    return {f"REALMS_{name.upper()}": _shown(name, getattr(settings, name)) for name in type(settings).model_fields}


def _shown(name: str, value: object) -> str:
    if name == "database_url" and isinstance(value, SecretStr):
        return make_url(value.get_secret_value()).set(query={}).render_as_string(hide_password=True)
    if isinstance(value, SecretStr):
        return "(set)" if value.get_secret_value() else ""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
