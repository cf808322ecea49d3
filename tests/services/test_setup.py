from dataclasses import replace

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from app.extensions import db
from app.models import AuditEntry, User
from app.services import accounts, setup
from app.services.accounts import AccountError
from tests.conftest import PASSWORD
from tests.racing import together

pytestmark = pytest.mark.any_database


def configure(app, **changed):
    parts = app.extensions["realms"]
    app.extensions["realms"] = replace(parts, settings=parts.settings.model_copy(update=changed))


def test_set_up_is_open_until_the_first_administrator_is_made(ctx):
    assert setup.is_open()
    user = setup.create_first_admin(email="Root@Example.com", password=PASSWORD, name="Root")
    assert (user.email, user.role, user.name) == ("root@example.com", "admin", "Root")
    assert not setup.is_open()
    assert accounts.authenticate("root@example.com", PASSWORD).id == user.id


def test_a_second_set_up_is_refused(ctx):
    setup.create_first_admin(email="a@example.com", password=PASSWORD)
    with pytest.raises(AccountError) as caught:
        setup.create_first_admin(email="b@example.com", password=PASSWORD)
    assert caught.value.field == ""
    assert db.session.scalar(select(func.count()).select_from(User)) == 1


@pytest.mark.acceptance("M-1")
def test_of_many_set_ups_at_once_one_makes_the_administrator(app, ctx):
    def one(n):
        return lambda: setup.create_first_admin(email=f"a{n}@example.com", password=PASSWORD).id

    results = together(app, *(one(n) for n in range(6)))
    assert sorted(type(result).__name__ for result in results) == ["AccountError"] * 5 + ["int"]
    assert db.session.scalar(select(func.count()).select_from(User)) == 1
    assert db.session.scalar(select(func.count()).select_from(AuditEntry)) == 1


def test_a_weak_password_leaves_set_up_open(ctx):
    with pytest.raises(AccountError) as caught:
        setup.create_first_admin(email="a@example.com", password="password")
    assert caught.value.field == "password"
    assert setup.is_open()


@pytest.mark.acceptance("M-1")
def test_the_token_of_the_link_opens_set_up_and_nothing_else_does(ctx):
    token = setup.token()
    assert len(token) >= 32
    assert setup.link() == f"http://127.0.0.1:8080/setup?token={token}"
    assert setup.accepts(token)
    for wrong in ("", token[:-1], token + "x", token.swapcase(), "é", "\ud800"):
        assert not setup.accepts(wrong)


@pytest.mark.acceptance("M-1")
def test_the_token_opens_nothing_once_there_is_an_administrator(admin):
    assert not setup.accepts(setup.token())


def test_an_ordinary_user_does_not_end_set_up(alice):
    assert setup.is_open()


def test_the_configured_administrator_is_made_once(app, ctx):
    assert setup.create_configured_admin() is None
    configure(app, admin_email="ops@example.com", admin_password=SecretStr(PASSWORD))
    assert setup.create_configured_admin().email == "ops@example.com"
    assert setup.create_configured_admin() is None
    assert not setup.is_open()


def test_many_workers_that_start_at_once_make_one_configured_administrator(app, ctx):
    configure(app, admin_email="ops@example.com", admin_password=SecretStr(PASSWORD))
    results = together(app, *[lambda: getattr(setup.create_configured_admin(), "id", None)] * 4)
    assert sorted(results, key=str) == [1, None, None, None]


def test_a_configured_administrator_with_a_weak_password_is_an_error(app, ctx):
    configure(app, admin_email="ops@example.com", admin_password=SecretStr("password"))
    with pytest.raises(AccountError):
        setup.create_configured_admin()
