"""``flask upstreams``: provider endpoints and their keys."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from app.cli.terminal import Commands, answer, confirm, json_option, secret, table
from app.services import codex_connect, policies
from app.services import upstreams as service
from app.services.trial import try_out
from app.upstreams import UPSTREAMS
from app.upstreams.presets import PRESETS

if TYPE_CHECKING:
    from app.models import Upstream

upstreams = Commands("upstreams", help="Provider endpoints and their keys.")
name_argument = click.argument("name")


@upstreams.command("add")
@name_argument
@click.option("--kind", default="", type=click.Choice(["", *sorted(UPSTREAMS)]), help="Which API it speaks.")
@click.option("--preset", default="", type=click.Choice(["", *PRESETS]), help="The provider or server to start from.")
@click.option("--base-url", default="", metavar="URL", help="Where it is; the vendor's own address by default.")
@click.option("--key-stdin", is_flag=True, help="Take its API key from the first line of standard input.")
@click.option("--no-key", is_flag=True, help="It wants no API key.")
@click.option(
    "--auth-json-stdin", is_flag=True, help="Take an account from the Codex CLI's auth.json on standard input."
)
@click.option("--proxy", default="", metavar="URL", help="What everything there goes through.")
@click.option("--priority", default=0, show_default=True, help="Higher is asked first.")
@click.option("--weight", default=1, show_default=True, help="Its share among those of the same priority.")
@json_option
def add(
    name: str,
    *,
    kind: str,
    preset: str,
    base_url: str,
    key_stdin: bool,
    no_key: bool,
    auth_json_stdin: bool,
    proxy: str,
    priority: int,
    weight: int,
    as_json: bool,
) -> None:
    """Add an upstream."""
    if not (kind or preset):
        raise click.UsageError("Give --kind or --preset.")
    if key_stdin + no_key + auth_json_stdin > 1:
        raise click.UsageError("Give one of --key-stdin, --no-key and --auth-json-stdin.")
    signs_in = UPSTREAMS[PRESETS[preset].kind if preset else kind].signs_in
    if signs_in and key_stdin:
        raise click.UsageError("This kind has no keys: give --auth-json-stdin, or connect an account in the console.")
    if auth_json_stdin and not signs_in:
        raise click.UsageError("Only --kind codex_oauth takes --auth-json-stdin.")
    tokens = codex_connect.read_file(sys.stdin.read()) if auth_json_stdin else None
    keyless = no_key or signs_in
    key = None if keyless else secret("API key", option="--key-stdin or --no-key", from_stdin=key_stdin)
    upstream = service.create(
        name=name,
        kind=kind,
        base_url=base_url,
        key=key,
        priority=priority,
        weight=weight,
        preset=preset,
        proxy=proxy,
        actor=None,
    )
    if tokens is not None:
        codex_connect.connect(upstream.id, tokens, actor=None)
        upstream = find_upstream(name)
    text = f"Added {upstream.name} at {upstream.base_url}. Next: flask upstreams test {upstream.name}"
    answer(_row(upstream), as_json=as_json, text=text)


@upstreams.command("list")
@json_option
def list_upstreams(as_json: bool) -> None:
    """List the upstreams."""
    rows = [_row(upstream) for upstream in service.list_all()]
    table(rows, as_json=as_json, empty="No upstreams yet. Add one: flask upstreams add NAME --kind openai --key-stdin")


@upstreams.command("test")
@name_argument
@json_option
@click.pass_context
def test(ctx: click.Context, name: str, as_json: bool) -> None:
    """Ask an upstream for its models, then one of them for a word; tell how far that came; exit 1 when it failed."""
    steps = try_out(find_upstream(name))
    rows = [{"step": step.name, "ok": step.ok, "ms": step.ms, "detail": step.detail} for step in steps]
    table(rows, as_json=as_json, empty="")
    ctx.exit(0 if all(step.ok for step in steps) else 1)


@upstreams.command("policy")
@name_argument
@click.option("--policy-stdin", is_flag=True, help="Take another policy, as JSON, from standard input.")
@json_option
def policy(name: str, *, policy_stdin: bool, as_json: bool) -> None:
    """Print what is wanted otherwise at an upstream, or change it."""
    upstream = find_upstream(name)
    if policy_stdin:
        policies.save(upstream.id, sys.stdin.read(), actor=None)
        upstream = find_upstream(name)
    answer(upstream.policy or {}, as_json=as_json, text=policies.as_text(upstream))


@upstreams.command("proxy")
@name_argument
@click.argument("url", default="")
@click.option("--login-stdin", is_flag=True, help="Take user:password from the first line of standard input.")
@click.option("--no-login", is_flag=True, help="It wants no login any more.")
@click.option("--none", "direct", is_flag=True, help="Call the upstream without a proxy from now on.")
@json_option
def proxy(name: str, *, url: str, login_stdin: bool, no_login: bool, direct: bool, as_json: bool) -> None:
    """Print what everything at an upstream goes through, or let it go through URL from now on."""
    if (bool(url) and direct) or (login_stdin and (no_login or direct)):
        raise click.UsageError("Give a URL or --none, and one of --login-stdin and --no-login.")
    upstream = find_upstream(name)
    known = policies.policy_of(upstream).proxy
    if url or direct or login_stdin or no_login:
        login = secret("User and password", option="--login-stdin", from_stdin=True) if login_stdin else None
        address = "" if direct else url or known
        policies.set_proxy(upstream.id, address, actor=None, proxy_login="" if no_login else login)
        upstream = find_upstream(name)
        known = policies.policy_of(upstream).proxy
    told = {"name": name, "proxy": known or None, "login": upstream.proxy_login is not None}
    way = f"through {known}{', with a login' if told['login'] else ''}" if known else "without a proxy"
    answer(told, as_json=as_json, text=f"{name} is called {way}.")


@upstreams.command("disable")
@name_argument
@json_option
def disable(name: str, as_json: bool) -> None:
    """Leave an upstream out."""
    _set_enabled(name, enabled=False, as_json=as_json)


@upstreams.command("enable")
@name_argument
@json_option
def enable(name: str, as_json: bool) -> None:
    """Call an upstream again."""
    _set_enabled(name, enabled=True, as_json=as_json)


@upstreams.command("delete")
@name_argument
@json_option
def delete(name: str, as_json: bool) -> None:
    """Forget an upstream, its keys and its routes."""
    upstream_id = find_upstream(name).id
    confirm(f"Delete {name}? Objects that are stored there can't be reached any more.")
    service.delete(upstream_id, actor=None)
    answer({"name": name, "deleted": True}, as_json=as_json, text=f"{name} is deleted.")


def find_upstream(name: str) -> Upstream:
    """Return the upstream of this name, or refuse."""
    upstream = service.by_name(name)
    if upstream is None:
        raise click.ClickException(f"There is no upstream {name}. See: flask upstreams list")
    return upstream


def _set_enabled(name: str, *, enabled: bool, as_json: bool) -> None:
    upstream = service.set_enabled(find_upstream(name).id, enabled=enabled, actor=None)
    answer(_row(upstream), as_json=as_json, text=f"{name} is {'enabled' if enabled else 'disabled'}.")


def _row(upstream: Upstream) -> dict[str, Any]:
    return {
        "id": upstream.id,
        "name": upstream.name,
        "kind": upstream.kind,
        "base_url": upstream.base_url,
        "enabled": upstream.enabled,
        "priority": upstream.priority,
        "weight": upstream.weight,
        "credentials": [
            f"{each.name} {'…' + each.last4 if each.last4 else ''}".strip() for each in upstream.credentials
        ],
    }
