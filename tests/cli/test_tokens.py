import json
import re
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.extensions import db
from app.models import Token
from app.models.base import utcnow
from app.services import tokens
from app.services.context import context

pytestmark = pytest.mark.any_database


def test_the_secret_stands_alone_on_standard_output(cli, alice):
    result = cli.invoke(args=["tokens", "create", "--user", "alice@example.com", "--name", "laptop"])
    assert result.exit_code == 0
    assert re.fullmatch(r"sk_[A-Za-z0-9_-]{43}\n", result.stdout)
    assert context().directory.caller(tokens.digest(result.stdout.strip())) is not None


def test_in_json_the_secret_comes_with_the_id_that_revokes_it(cli, alice):
    told = json.loads(
        cli.invoke(args=["tokens", "create", "--user", "alice@example.com", "--name", "ci", "--json"]).stdout
    )
    assert told["secret"].startswith("sk_")
    assert cli.invoke(args=["tokens", "revoke", str(told["id"])]).stdout == f"Token {told['id']} is revoked.\n"
    assert context().directory.caller(tokens.digest(told["secret"])) is None


def test_tokens_are_listed_with_their_state_and_without_their_secret(cli, alice):
    minted = [tokens.mint(alice, name=name, actor=alice) for name in ("old", "gone", "live")]
    db.session.execute(update(Token).where(Token.name == "old").values(expires_at=utcnow() - timedelta(days=1)))
    tokens.revoke(minted[1].token.id, actor=alice, owner=None)
    result = cli.invoke(args=["tokens", "list", "--json"])
    assert [(each["name"], each["state"]) for each in json.loads(result.stdout)] == [
        ("live", "active"),
        ("gone", "revoked"),
        ("old", "expired"),
    ]
    table = cli.invoke(args=["tokens", "list"]).stdout
    assert "alice@example.com" in table
    assert "live" in table
    assert not any(each.secret in table + result.stdout for each in minted)


def test_an_empty_list_says_what_to_do(cli, ctx):
    assert "flask tokens create" in cli.invoke(args=["tokens", "list"]).stdout


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["create", "--user", "nobody@example.com", "--name", "x"], 1, "There is no user"),
        (["create", "--user", "alice@example.com", "--name", " "], 1, "name: "),
        (["create", "--user", "alice@example.com"], 2, "--name"),
        (["revoke", "99"], 1, "There is no token 99"),
        (["revoke", "x"], 2, "not a valid integer"),
    ],
)
def test_what_cannot_be_done_is_told_on_standard_error(cli, alice, args, code, told):
    result = cli.invoke(args=["tokens", *args])
    assert (result.exit_code, result.stdout) == (code, "")
    assert told in result.stderr
