import json

import pytest

from app.services import upstreams
from app.services.context import context

pytestmark = pytest.mark.any_database
KEY = "sk-proj-0123456789abcdef"


def add(cli, *more, name="main", key=KEY):
    secret = ["--no-key"] if key is None else ["--key-stdin"]
    return cli.invoke(args=["upstreams", "add", name, "--kind", "openai", *secret, *more], input=f"{key}\n")


def test_an_upstream_is_added_with_a_key_from_standard_input(cli, ctx):
    result = add(cli, "--base-url", "https://api.example.com/v1/", "--priority", "-2", "--weight", "3")
    assert result.exit_code == 0
    assert result.stdout.startswith("Added main at https://api.example.com/v1.")
    upstream = upstreams.by_name("main")
    assert (upstream.priority, upstream.weight) == (-2, 3)
    assert context().vault.open(upstream.credentials[0].sealed, origin=upstream.base_url) == KEY


def test_an_upstream_without_a_key_at_the_vendors_address(cli, ctx):
    told = json.loads(add(cli, "--json", key=None).stdout)
    assert (told["kind"], told["base_url"]) == ("openai", "https://api.openai.com/v1")
    assert told["credentials"] == ["default"]


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["add", "x", "--kind", "openai"], 2),
        (["add", "x", "--kind", "openai", "--key-stdin", "--no-key"], 2),
        (["add", "x", "--kind", "openai", "--key-stdin"], 2),
        (["add", "x", "--kind", "gopher", "--no-key"], 2),
        (["add", "x", "--no-key"], 2),
        (["add", "x", "--kind", "openai", "--no-key", "--weight", "many"], 2),
        (["add", "x", "--kind", "openai", "--no-key", "--weight", "0"], 1),
        (["add", "x", "--kind", "openai", "--no-key", "--base-url", "ftp://x"], 1),
        (["test", "x"], 1),
        (["disable", "x"], 1),
        (["enable", "x"], 1),
        (["delete", "x"], 1),
    ],
)
def test_what_cannot_be_done_is_told_on_standard_error_and_nothing_is_added(cli, ctx, args, code):
    result = cli.invoke(args=["upstreams", *args], input="")
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr
    assert upstreams.list_all() == []


def test_upstreams_are_listed_without_their_keys(cli, ctx):
    assert "flask upstreams add" in cli.invoke(args=["upstreams", "list"]).stdout
    add(cli)
    table = cli.invoke(args=["upstreams", "list"]).stdout
    assert "main" in table
    assert "…cdef" in table
    assert KEY not in table + cli.invoke(args=["upstreams", "list", "--json"]).stdout


def test_an_upstream_is_left_out_used_again_and_deleted(cli, ctx):
    add(cli)
    assert cli.invoke(args=["upstreams", "disable", "main"]).stdout == "main is disabled.\n"
    assert upstreams.by_name("main").enabled is False
    assert json.loads(cli.invoke(args=["upstreams", "enable", "main", "--json"]).stdout)["enabled"] is True
    assert cli.invoke(args=["upstreams", "delete", "main"]).stdout == "main is deleted.\n"
    assert upstreams.list_all() == []


def test_a_test_tells_each_step_and_fails_with_exit_1(cli, ctx, provider):
    provider.key = KEY
    add(cli, "--base-url", provider.url)
    good = cli.invoke(args=["upstreams", "test", "main"])
    assert good.exit_code == 0
    assert [line.split()[0] for line in good.stdout.splitlines()[1:]] == [
        "address",
        "connection",
        "tls",
        "authentication",
    ]
    provider.key = "changed"
    bad = cli.invoke(args=["upstreams", "test", "main", "--json"])
    assert bad.exit_code == 1
    assert [step["ok"] for step in json.loads(bad.stdout)] == [True, True, True, False]


AUTH_JSON = json.dumps({"tokens": {"access_token": "at-1", "refresh_token": "rt-1", "account_id": "acc-1"}})


def add_codex(cli, *more, text=AUTH_JSON):
    return cli.invoke(args=["upstreams", "add", "codex", "--kind", "codex_oauth", *more], input=text)


def test_an_account_comes_from_an_auth_json(cli, ctx):
    result = add_codex(cli, "--auth-json-stdin")
    assert result.exit_code == 0
    assert "rt-1" not in result.output
    upstream = upstreams.by_name("codex")
    assert upstream.base_url == "https://chatgpt.com/backend-api/codex"
    assert context().vault.open(upstream.credentials[0].sealed, origin=upstream.base_url) == "acc-1 at-1"


def test_what_is_no_auth_json_adds_nothing(cli, ctx):
    result = add_codex(cli, "--auth-json-stdin", text='{"access_token":"at-secret"}')
    assert result.exit_code == 1
    assert "no auth.json" in result.output
    assert "at-secret" not in result.output
    assert upstreams.by_name("codex") is None


def test_accounts_and_keys_are_not_confused(cli, ctx):
    assert add_codex(cli, "--key-stdin").exit_code == 2
    assert add_codex(cli, "--no-key", "--auth-json-stdin").exit_code == 2
    assert add(cli, "--auth-json-stdin", key=None).exit_code == 2
    assert cli.invoke(args=["upstreams", "add", "m", "--kind", "openai", "--auth-json-stdin"]).exit_code == 2
    assert add_codex(cli).exit_code == 0, "accounts are connected in the console, too"
    assert upstreams.by_name("codex").credentials == []


def test_a_proxy_is_set_shown_and_taken_away(cli, ctx):
    add(cli, "--proxy", "http://proxy.example:3128")
    run = lambda *args, **more: cli.invoke(args=["upstreams", "proxy", "main", *args], **more)  # noqa: E731
    assert run().stdout == "main is called through http://proxy.example:3128.\n"
    told = run("socks5://10.0.0.5:1080", "--login-stdin", input="user:geheim\n")
    assert told.stdout == "main is called through socks5://10.0.0.5:1080, with a login.\n"
    assert json.loads(run("--json").stdout) == {"name": "main", "proxy": "socks5://10.0.0.5:1080", "login": True}
    assert "geheim" not in cli.invoke(args=["upstreams", "policy", "main"]).stdout
    assert json.loads(run("--no-login", "--json").stdout)["login"] is False
    assert run("--none").stdout == "main is called without a proxy.\n"
    assert upstreams.by_name("main").policy is None


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["http://proxy.example"], 1),
        (["http://user:geheim@proxy.example:1"], 1),
        (["--login-stdin"], 1),
        (["http://proxy.example:1", "--none"], 2),
        (["--none", "--login-stdin"], 2),
        (["--no-login", "--login-stdin"], 2),
    ],
)
def test_what_is_no_proxy_is_told_and_nothing_changes(cli, ctx, args, code):
    add(cli)
    result = cli.invoke(args=["upstreams", "proxy", "main", *args], input="user:geheim\n")
    assert (result.exit_code, result.stdout) == (code, "")
    assert "geheim" not in result.stderr
    assert upstreams.by_name("main").policy is None
