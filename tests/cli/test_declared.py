"""``flask export`` and ``flask apply`` as an operator's script uses them: what is printed where, and exit codes."""

import json

import pytest

from app.services import upstreams

FILE = "realms: 1\nupstreams: {main: {kind: openai, credentials: {default: file:main.key}}}\n"


@pytest.fixture
def file(tmp_path):
    (tmp_path / "main.key").write_text("sk-0123456789abcdef")
    path = tmp_path / "realms.yaml"
    path.write_text(FILE)
    return path


def run(cli, *args, text=None):
    result = cli.invoke(args=[*map(str, args)], input=text)
    return result.exit_code, result.stdout, result.stderr


def test_a_plan_exits_with_3_while_there_is_something_to_do(cli, file):
    code, out, _ = run(cli, "apply", "--plan", file)
    assert (code, upstreams_there(cli)) == (3, [])
    assert out.splitlines()[:2] == ["+ upstreams.main (create)", '    kind: "openai"']
    assert run(cli, "apply", file)[0] == 0
    assert run(cli, "apply", "--plan", file) == (0, "Nothing to do: everything is as the file says.\n", "")
    assert upstreams_there(cli) == ["main"]


def upstreams_there(cli):
    return [row["name"] for row in json.loads(run(cli, "upstreams", "list", "--json")[1])]


def test_what_is_done_is_told_in_json_without_a_secret(cli, file):
    _, out, _ = run(cli, "apply", file, "--json")
    assert "sk-" not in out
    assert json.loads(out) == {
        "applied": True,
        "steps": [
            {"what": "create", "path": "upstreams.main", "changes": {"kind": [None, "openai"]}},
            {
                "what": "create",
                "path": "upstreams.main.credentials.default",
                "changes": {"secret": [None, "file:main.key"]},
            },
        ],
    }
    (file.parent / "main.key").write_text("sk-another-0123456789")
    assert (
        run(cli, "apply", file)[1].splitlines()[1] == '    secret: "file:main.key" -> "file:main.key (another value)"'
    )


def test_a_file_that_cannot_be_used_is_told_on_standard_error_with_its_lines(cli, file):
    file.write_text(FILE + "modles: {}\nusers: {nobody: {}}\n")
    code, out, error = run(cli, "apply", file)
    assert (code, out) == (1, "")
    assert error.splitlines() == [f"{file}: line 3: modles: there is no such field; did you mean models?"]
    file.write_text(FILE + "users: {nobody: {}}\n")
    assert "line 3: users.nobody: email: Enter an e-mail address" in run(cli, "apply", "--plan", file)[2]
    file.write_bytes(b"realms: 1\n\xff")
    assert run(cli, "apply", file)[0] == 1
    assert run(cli, "apply", "--plan", file.parent / "none.yaml")[0] == 2


def test_an_export_goes_through_a_pipe_into_apply(cli, file):
    run(cli, "apply", file)
    exported = run(cli, "export")[1]
    assert "sk-" not in exported
    assert (
        run(cli, "apply", "--plan", "-", text=exported.replace("file:main.key", f"file:{file.parent}/main.key"))[0] == 3
    )
    only = json.loads(run(cli, "export", "--only", "upstreams", "--json")[1])
    assert set(only) == {"realms", "upstreams"}
    assert only["upstreams"]["main"]["credentials"] == {"default": {"secret": "file:main.key", "enabled": True}}


def test_keys_that_were_entered_are_given_references_to_be_carried_elsewhere(cli, ctx):
    upstreams.create(name="my 1st", kind="openai", base_url="", key="k" * 20, priority=0, weight=1, actor=None)
    assert "secret: env:MY_1ST_DEFAULT_KEY" in run(cli, "export", "--references")[1]
