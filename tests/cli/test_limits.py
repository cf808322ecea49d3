import json

import pytest

from app.extensions import db
from app.protocol.limit import Measure
from app.services import allowances, catalog, tokens, upstreams

pytestmark = pytest.mark.any_database


@pytest.fixture
def subjects(alice, provider):
    main = upstreams.create(name="m", kind="openai", base_url=provider.url, key=None, priority=0, weight=1, actor=None)
    catalog.import_models(main.id, {"gpt-5": None}, actor=None)
    token = tokens.mint(alice, name="t", actor=None).token
    return {"user": alice.email, "token": str(token.id), "model": "gpt-5"}


def run(cli, *args):
    result = cli.invoke(args=["limits", *args])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("scope", ["user", "token", "model"])
def test_limits_are_set_listed_and_taken_away(cli, subjects, scope):
    name = subjects[scope]
    assert run(cli, "set", scope, name, "--requests-minute", "60", "--money-day", "2.5")[0] == 0
    assert run(cli, "set", scope, name, "--model", "claude-*", "--concurrent", "3")[0] == 0
    rows = json.loads(run(cli, "list", scope, name, "--json")[1])
    told = [{name: value for name, value in row.items() if value is not None} for row in rows]
    assert told == [
        {"model": "", "requests_minute": 60, "money_day": 2_500_000_000},
        {"model": "claude-*", "concurrent": 3},
    ]
    assert "$2.50" in run(cli, "list", scope, name)[1]
    run(cli, "set", scope, name)
    assert len(json.loads(run(cli, "list", scope, name, "--json")[1])) == 1


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("user", "nobody@example.com"), 1),
        (("token", "99999", "--concurrent", "1"), 1),
        (("token", "laptop"), 2),
        (("model", "nothing"), 1),
        (("planet", "earth"), 2),
        (("user", "alice@example.com", "--money-day", "much"), 2),
        (("user", "alice@example.com", "--money-day", "0.0000000001"), 2),
        (("user", "alice@example.com", "--concurrent", "-1"), 2),
        (("user", "alice@example.com", "--concurrent", "99999999999"), 1),
    ],
)
def test_what_cannot_be_limited_is_told_on_standard_error(cli, subjects, args, code):
    got, out, error = run(cli, "set", *args)
    assert (got, out) == (code, "")
    assert error
    assert allowances.list_for("user", 1) == []


def test_a_change_of_limits_is_in_the_audit(cli, subjects, alice):
    from app.services import audit

    run(cli, "set", "user", alice.email, "--concurrent", "3")
    run(cli, "set", "user", alice.email, "--concurrent", "5")
    entry = audit.list_entries()[0]
    assert (entry.action, entry.target) == ("limits.set", f"limits of user {alice.email}")
    assert (entry.before, entry.after) == ({"concurrent": 3}, {"concurrent": 5})
    assert Measure.CONCURRENT.value in entry.after
    db.session.remove()
