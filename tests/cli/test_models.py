import json

import pytest

from app.services import catalog, upstreams

pytestmark = pytest.mark.any_database


@pytest.fixture
def main(ctx, provider):
    provider.models = ["gpt-5", "gpt-5-mini"]
    return upstreams.create(
        name="main", kind="openai", base_url=provider.url, key=None, priority=4, weight=1, actor=None
    )


def names():
    return [model.name for model in catalog.list_models()]


def test_everything_an_upstream_lists_is_imported(cli, main):
    result = cli.invoke(args=["models", "import", "main", "--all"])
    assert (result.exit_code, result.stdout) == (0, "2 models of main, 2 of them new or changed.\n")
    assert names() == ["gpt-5", "gpt-5-mini"]


def test_named_models_are_imported_without_a_call(cli, main, provider):
    args = [
        "models",
        "import",
        "main",
        "--model",
        "fast=gpt-5-mini",
        "--model",
        "claude-*",
        "--model",
        "a=b=c",
        "--json",
    ]
    told = json.loads(cli.invoke(args=args).stdout)
    assert told == {"upstream": "main", "models": ["a", "claude-*", "fast"], "changed": 3}
    routes = {model.name: model.routes[0].upstream_model for model in catalog.list_models()}
    assert routes == {"a": "b=c", "claude-*": None, "fast": "gpt-5-mini"}
    assert provider.seen == []


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["main"], 2),
        (["main", "--all", "--model", "x"], 2),
        (["main", "--model", "=x"], 2),
        (["main", "--model", "x="], 2),
        (["main", "--model", "two words"], 1),
        (["nowhere", "--all"], 1),
    ],
)
def test_what_cannot_be_imported_is_told_on_standard_error(cli, main, args, code):
    result = cli.invoke(args=["models", "import", *args])
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr
    assert names() == []


def test_an_upstream_that_lists_nothing_is_told_on_standard_error(cli, main, provider):
    provider.status = 500
    result = cli.invoke(args=["models", "import", "main", "--all"])
    assert result.exit_code == 1
    assert "500" in result.stderr


def test_the_catalogue_is_listed_with_its_routes(cli, main):
    assert "flask models import" in cli.invoke(args=["models", "list"]).stdout
    cli.invoke(args=["models", "import", "main", "--model", "fast=gpt-5-mini"])
    upstreams.set_enabled(main.id, enabled=False, actor=None)
    assert "main: gpt-5-mini (disabled)" in cli.invoke(args=["models", "list"]).stdout
    (told,) = json.loads(cli.invoke(args=["models", "list", "--json"]).stdout)
    assert (told["name"], told["enabled"]) == ("fast", True)
    (route,) = told["routes"]
    assert (route["upstream"], route["upstream_model"], route["enabled"], route["priority"]) == (
        "main",
        "gpt-5-mini",
        False,
        4,
    )


def test_a_model_is_renamed(cli, main):
    catalog.import_models(main.id, {"gpt-5": None}, actor=None)
    result = cli.invoke(args=["models", "rename", "gpt-5", "gpt-6"])
    assert (result.exit_code, result.stdout) == (0, "gpt-5 is called gpt-6 now.\n")
    assert names() == ["gpt-6"]
    result = cli.invoke(args=["models", "rename", "gpt-5", "gpt-7"])
    assert (result.exit_code, "There is no model gpt-5." in result.output) == (1, True)
    assert cli.invoke(args=["models", "rename", "gpt-6", "two words"]).exit_code == 1
