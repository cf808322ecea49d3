"""Limits by form: of users and models by administrators, of tokens by their owners."""

import pytest

from app.services import accounts, allowances, catalog, tokens
from tests.rooms import ALICE


def kept(app, scope, subject_id):
    with app.app_context():
        return [(row.model, row.requests_minute, row.money_day) for row in allowances.list_for(scope, subject_id)]


@pytest.fixture
def subjects(app, furnished, alice_there):
    with app.app_context():
        alice = accounts.by_email(ALICE)
        token = tokens.mint(alice, name="laptop", actor=alice).token
        return {"user": alice.id, "model": catalog.list_models()[0].id, "token": token.id}


@pytest.mark.parametrize("scope", ["user", "model", "token"])
def test_limits_are_set_changed_and_taken_away(app, admin_there, alice_there, subjects, scope):
    number = subjects[scope]
    browser = alice_there if scope == "token" else admin_there
    path = f"/tokens/{number}/limits" if scope == "token" else f"/admin/{scope}s/{number}/limits"
    assert "No limits" in browser.get(path).text
    browser.submit(path, {"requests_minute": "60", "money_day": "2.50"})
    assert kept(app, scope, number) == [("", 60, 2_500_000_000)]
    page = browser.get(path)
    assert "$2.50" in page.text
    assert page.soup.find("input", id="money_day")["value"] == "2.5"
    if scope != "model":
        browser.submit(path, {"model": "claude-*", "requests_minute": "5", "money_day": ""})
        assert kept(app, scope, number)[1] == ("claude-*", 5, None)
        assert browser.get(f"{path}?model=claude-*").soup.find("input", id="requests_minute")["value"] == "5"
        browser.submit(path, {"model": "claude-*", "requests_minute": "", "money_day": ""})
    browser.submit(path, {"requests_minute": "", "money_day": ""})
    assert kept(app, scope, number) == []


@pytest.mark.parametrize(
    ("field", "value"), [("money_day", "much"), ("money_day", "-1"), ("requests_minute", "-1"), ("concurrent", "x")]
)
def test_what_is_no_limit_is_told_at_its_field(app, admin_there, subjects, field, value):
    page = admin_there.submit(f"/admin/users/{subjects['user']}/limits", {field: value})
    assert page.soup.find(id=field)["aria-invalid"] == "true"
    assert kept(app, "user", subjects["user"]) == []


def test_nobody_limits_what_is_not_theirs(app, admin_there, alice_there, subjects):
    assert admin_there.get(f"/tokens/{subjects['token']}/limits").status == 404
    assert alice_there.get(f"/admin/users/{subjects['user']}/limits").status == 404
