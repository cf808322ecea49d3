import json

import pytest

from app.services import catalog, upstreams

pytestmark = pytest.mark.any_database


@pytest.fixture
def served(ctx):
    made = upstreams.create(
        name="a", kind="openai", base_url="https://api.openai.com/v1", key="k", priority=0, weight=1, actor=None
    )
    catalog.import_models(made.id, {"gpt-5": None, "mine": None}, actor=None)


def run(cli, *args):
    result = cli.invoke(args=["prices", *args])
    return result.exit_code, result.stdout, result.stderr


def test_a_price_is_set_and_listed(cli, served):
    assert run(cli, "set", "mine", "--input", "0.0375", "--output", "$0.15")[0] == 0
    (row,) = json.loads(run(cli, "list", "--json")[1])
    assert row["tariffs"] == {"standard": {"rates": {"input": 37_500_000, "output": 150_000_000}}}
    run(cli, "set", "mine", "--input", "1", "--valid-from", "2026-10-01")
    assert len(json.loads(run(cli, "list", "mine", "--json")[1])) == 2
    assert "$0.0375" in run(cli, "list", "mine")[1]


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("mine",), 2),
        (("mine", "--input", "much"), 2),
        (("nothing", "--input", "1"), 1),
        (("mine", "--valid-from", "x"), 2),
    ],
)
def test_what_is_no_price_is_told_on_standard_error(cli, served, args, code):
    got, out, error = run(cli, "set", *args)
    assert (got, out) == (code, "")
    assert error


def test_the_list_is_compared_and_taken_over(cli, served):
    assert "none → $1.25" in run(cli, "sync")[1]
    assert run(cli, "list")[1].startswith("No prices yet")
    assert run(cli, "sync", "--apply")[0] == 0
    assert run(cli, "sync")[1].startswith("Nothing to change")


def test_what_was_set_by_hand_stays_unless_it_is_named(cli, served):
    run(cli, "set", "gpt-5", "--input", "9")
    assert "set by hand" in run(cli, "sync", "--apply")[1]
    (row,) = json.loads(run(cli, "sync", "--json")[1])
    assert (row["taken"], row["before"]["standard"]["rates"]) == (False, {"input": 9_000_000_000})
    run(cli, "sync", "--apply", "--model", "gpt-5")
    assert json.loads(run(cli, "sync", "--json")[1]) == []


def test_paying_again_is_shown_before_it_is_done(cli, served):
    asked = ("reprice", "--from", "2026-01-01", "--to", "2026-02-01")
    assert "Nothing was changed; repeat with --apply." in run(cli, *asked)[1]
    assert json.loads(run(cli, *asked, "--apply", "--json")[1])["changed"] == 0
