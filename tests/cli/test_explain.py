import json

import pytest

from app.services import catalog, upstreams

pytestmark = pytest.mark.any_database


@pytest.fixture
def served(ctx):
    made = upstreams.create(name="main", kind="openai", base_url="", key="sk-1", priority=0, weight=1, actor=None)
    catalog.import_models(made.id, {"gpt": "theirs"}, actor=None)


def test_a_model_is_explained(cli, served):
    told = cli.invoke(args=["explain", "--model", "gpt", "--json"])
    assert told.exit_code == 0
    (row,) = json.loads(told.stdout)
    assert (row["upstream"], row["model"], row["order"]) == ("main", "theirs", 1)
    assert "/admin/explain" in told.stderr
    assert "main" in cli.invoke(args=["explain", "--model", "gpt"]).stdout


@pytest.mark.parametrize(
    ("args", "code"),
    [([], 2), (["--model", "gpt", "--request", "x"], 2), (["--model", "nothing"], 1), (["--request", "nobody"], 1)],
)
def test_what_cannot_be_explained_is_refused(cli, served, args, code):
    assert cli.invoke(args=["explain", *args]).exit_code == code
