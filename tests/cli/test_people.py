import json

import pyotp
import pytest

from app.services import accounts, second_factor, setup
from tests.conftest import PASSWORD

pytestmark = pytest.mark.any_database


def made(cli, who="users", email="alice@example.com", password=PASSWORD, *more):
    return cli.invoke(args=[who, "create", "--email", email, "--password-stdin", *more], input=f"{password}\n")


def test_an_administrator_made_on_the_command_line_ends_set_up(cli, ctx):
    result = made(cli, "admin", "Root@Example.com")
    assert (result.exit_code, result.stdout) == (0, "Made admin root@example.com.\n")
    assert accounts.authenticate("root@example.com", PASSWORD).role == "admin"
    assert not setup.is_open()


def test_a_user_is_made_with_a_name_and_told_in_json(cli, ctx):
    result = made(cli, "users", "alice@example.com", PASSWORD, "--name", "Alice", "--json")
    told = json.loads(result.stdout)
    assert (told["email"], told["name"], told["role"], told["enabled"]) == ("alice@example.com", "Alice", "user", True)
    assert setup.is_open()


@pytest.mark.parametrize("password", [" spaces count ", "tabs\tcount too", "密码密码密码密码"])
def test_the_first_line_of_standard_input_is_the_password_to_its_last_blank(cli, ctx, password):
    assert made(cli, password=password + "\nanother line").exit_code == 0
    assert accounts.authenticate("alice@example.com", password) is not None


@pytest.mark.parametrize(
    ("email", "password", "told"), [("alice", PASSWORD, "email: "), ("a@example.com", "short", "password: ")]
)
def test_what_is_refused_is_told_on_standard_error_with_exit_1(cli, ctx, email, password, told):
    result = made(cli, "users", email, password)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: " + told)
    assert accounts.list_users() == []


def test_a_taken_address_is_refused(cli, alice):
    result = made(cli)
    assert result.exit_code == 1
    assert "already" in result.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["users", "create"],
        ["users", "create", "--email", "a@example.com"],
        ["admin", "create", "--email", "a@example.com"],
        ["users", "create", "--email", "a@example.com", "--password-stdin"],
        ["users", "disable"],
        ["users", "no-such-thing"],
    ],
)
def test_wrong_usage_is_exit_2_and_never_a_prompt(cli, ctx, args):
    result = cli.invoke(args=args, input="")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr


def test_people_are_listed_as_a_table_and_in_json(cli, alice, admin):
    table = cli.invoke(args=["users", "list"]).stdout
    assert "alice@example.com" in table
    assert "role" in table
    told = json.loads(cli.invoke(args=["users", "list", "--json"]).stdout)
    assert [(each["email"], each["role"]) for each in told] == [
        ("admin@example.com", "admin"),
        ("alice@example.com", "user"),
    ]


def test_an_empty_list_says_what_to_do_and_is_a_list_in_json(cli, ctx):
    assert "flask admin create" in cli.invoke(args=["users", "list"]).stdout
    assert json.loads(cli.invoke(args=["users", "list", "--json"]).stdout) == []


def test_somebody_is_locked_out_and_let_in_again(cli, alice):
    assert cli.invoke(args=["users", "disable", "ALICE@example.com"]).stdout == "alice@example.com is disabled.\n"
    assert accounts.authenticate("alice@example.com", PASSWORD) is None
    assert json.loads(cli.invoke(args=["users", "enable", "alice@example.com", "--json"]).stdout)["enabled"] is True
    assert accounts.authenticate("alice@example.com", PASSWORD) is not None


def test_a_lost_second_factor_is_removed(cli, alice):
    secret = pyotp.random_base32()
    second_factor.turn_on(alice, secret=secret, code=pyotp.TOTP(secret).now())
    assert json.loads(cli.invoke(args=["users", "list", "--json"]).stdout)[0]["second_factor"] is True
    assert "password alone" in cli.invoke(args=["users", "remove-second-factor", "Alice@example.com"]).stdout
    assert not second_factor.is_on(alice.id)
    result = cli.invoke(args=["users", "remove-second-factor", "alice@example.com"])
    assert (result.exit_code, result.stderr) == (1, "Error: This user has no second factor.\n")


def test_the_last_administrator_cannot_be_locked_out(cli, admin):
    result = cli.invoke(args=["users", "disable", "admin@example.com"])
    assert result.exit_code == 1
    assert "last administrator" in result.stderr


def test_somebody_unknown_is_refused(cli, ctx):
    result = cli.invoke(args=["users", "disable", "nobody@example.com"])
    assert result.exit_code == 1
    assert "There is no user nobody@example.com" in result.stderr


def test_the_set_up_link_is_printed_until_there_is_an_administrator(cli, ctx):
    link = setup.link()
    assert cli.invoke(args=["setup-link"]).stdout == link + "\n"
    assert json.loads(cli.invoke(args=["setup-link", "--json"]).stdout) == {"link": link}
    made(cli, "admin")
    result = cli.invoke(args=["setup-link"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Set-up is over" in result.stderr


def test_names_with_markup_or_escapes_are_shown_as_they_are(cli, ctx):
    made(cli, "users", "a@example.com", PASSWORD, "--name", "[bold red]x[/] :smile:")
    assert "[bold red]x[/] :smile:" in cli.invoke(args=["users", "list"]).stdout
