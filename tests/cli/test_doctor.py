import json
import resource
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app import create_app
from app.extensions import db
from app.services import upstreams
from app.services.vault import Vault
from tests.conftest import SECRET_KEY, VAULT_KEY

KEY = "sk-0123456789abcdef"


@pytest.fixture
def examine(app):
    """Runs the doctor, after some settings were changed; gives exit code, checks by name, and all that it said."""

    def run(**changed):
        parts = app.extensions["realms"]
        app.extensions["realms"] = replace(parts, settings=parts.settings.model_copy(update=changed))
        result = app.test_cli_runner().invoke(args=["doctor", "--json"])
        told = json.loads(result.stdout)
        assert told["ok"] == (result.exit_code == 0)
        return result.exit_code, {check["name"]: check for check in told["checks"]}, told

    return run


def add(provider, name="main"):
    return upstreams.create(name=name, kind="openai", base_url=provider.url, key=KEY, priority=0, weight=1, actor=None)


@pytest.mark.any_database
def test_a_healthy_house_is_told_so(ctx, examine, provider):
    provider.key = KEY
    add(provider)
    code, checks, _ = examine()
    assert code == 0, {name: check["detail"] for name, check in checks.items() if check["state"] == "failed"}
    states = {name: check["state"] for name, check in checks.items()}
    assert states.pop("public URL") == "warning"
    assert set(states.values()) == {"ok"}
    assert {"database", "migrations", "descriptors", "data directory", "upstream main"} <= set(states)


@pytest.mark.any_database
def test_no_secret_is_shown(ctx, app, cli, provider, settings):
    provider.key = KEY
    add(provider)
    said = cli.invoke(args=["doctor"]).stdout + cli.invoke(args=["doctor", "--json"]).stdout
    assert "REALMS_SECRET_KEY" in said
    for secret in (SECRET_KEY, VAULT_KEY, KEY):
        assert secret not in said


def test_the_password_of_the_database_is_hidden(ctx, examine):
    url = SecretStr("postgresql+psycopg://realms:hunter22@db.example.com/realms?password=hunter22")
    _, _, told = examine(database_url=url)
    assert told["settings"]["REALMS_DATABASE_URL"] == "postgresql+psycopg://realms:***@db.example.com/realms"


def test_a_journal_that_cannot_be_opened_is_a_failure(ctx, examine, settings):
    assert examine()[1]["journal"]["state"] == "ok"
    (refused := settings.data_dir / "journal" / "1-a-000000.journal").mkdir(parents=True)
    code, checks, _ = examine()
    assert (code, checks["journal"]["state"]) == (1, "failed")
    assert str(refused) in checks["journal"]["detail"]
    assert "user that runs Realms" in checks["journal"]["fix"]


def test_people_read_tables_and_the_fix_to_make(ctx, app, cli):
    with db.engine.begin() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
    result = cli.invoke(args=["doctor"])
    assert result.exit_code == 1
    assert "REALMS_BIND" in result.stdout
    assert "flask db upgrade" in result.stderr


@pytest.mark.acceptance("M-4")
@pytest.mark.any_database
def test_a_schema_that_is_behind_is_a_failure_and_ends_the_examination(ctx, examine, database_url, database_kind):
    with db.engine.begin() as connection:
        here = connection.scalar(text("SELECT version_num FROM alembic_version"))
        connection.execute(text("DELETE FROM alembic_version"))
    try:
        code, checks, _ = examine()
    finally:
        with db.engine.begin() as connection:
            connection.execute(text("INSERT INTO alembic_version VALUES (:here)"), {"here": here})
    assert code == 1
    assert "vault" not in checks
    assert (checks["migrations"]["state"], checks["migrations"]["fix"]) == ("failed", "Run: flask db upgrade")
    assert "upstreams" not in checks


@pytest.mark.acceptance("M-4")
@pytest.mark.parametrize(
    ("url", "state"), [("", "ok"), ("redis://127.0.0.1:6379/15", "ok"), ("redis://:hunter22@127.0.0.1:1/0", "failed")]
)
def test_a_redis_that_cannot_be_reached_is_a_failure(ctx, examine, url, state):
    _, checks, told = examine(redis_url=SecretStr(url))
    assert checks["Redis"]["state"] == state
    assert ("REALMS_REDIS_URL" in checks["Redis"]["fix"]) is (state == "failed")
    assert "hunter22" not in str(told)


@pytest.mark.any_database
def test_secrets_that_no_vault_key_opens_are_a_failure_that_names_them(ctx, app, examine, provider):
    provider.key = KEY
    add(provider)
    assert examine()[1]["vault"]["state"] == "ok"
    app.extensions["realms"] = replace(
        app.extensions["realms"], vault=Vault(["another-vault-key-than-it-was-sealed-with"])
    )
    code, checks, _ = examine()
    assert (code, checks["vault"]["state"]) == (1, "failed")
    assert "main/default" in checks["vault"]["detail"]
    assert "REALMS_VAULT_KEYS" in checks["vault"]["fix"]


def test_a_database_that_is_away_is_a_failure(settings):
    away = SecretStr("postgresql+psycopg://nobody:hunter22@127.0.0.1:1/none")
    app = create_app(settings.model_copy(update={"database_url": away}))
    result = app.test_cli_runner().invoke(args=["doctor", "--json"])
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    (check,) = [check for check in told["checks"] if check["state"] == "failed"]
    assert check["name"] == "database"
    assert "REALMS_DATABASE_URL" in check["fix"]
    assert "hunter22" not in result.output


def test_an_upstream_that_cannot_be_reached_is_a_failure(ctx, examine, provider):
    provider.key = "another"
    add(provider)
    disabled = add(provider, "off")
    upstreams.set_enabled(disabled.id, enabled=False, actor=None)
    code, checks, _ = examine()
    assert code == 1
    assert checks["upstream main"]["state"] == "failed"
    assert "refuses this key" in checks["upstream main"]["detail"]
    assert "upstream off" not in checks


def test_a_house_without_upstreams_is_warned(ctx, examine):
    code, checks, _ = examine()
    assert code == 0
    assert (checks["upstreams"]["state"], "flask upstreams add" in checks["upstreams"]["fix"]) == ("warning", True)


@pytest.mark.acceptance("M-4")
@pytest.mark.parametrize(
    ("url", "state"),
    [
        ("https://realms.example.com", "ok"),
        ("http://localhost:8080", "warning"),
        ("http://[::1]:8080", "warning"),
        ("http://realms.example.com", "failed"),
        ("http://0.0.0.0:8080", "failed"),
    ],
)
def test_a_public_address_without_tls_is_a_failure_except_on_this_machine(ctx, examine, url, state):
    assert examine(public_url=url)[1]["public URL"]["state"] == state


@pytest.mark.acceptance("M-4")
def test_trusting_everybody_as_a_proxy_is_a_failure(ctx, examine):
    assert examine(trusted_proxies=(ip_network("10.0.0.0/8"),))[1]["trusted proxies"]["state"] == "ok"
    assert examine(trusted_proxies=(ip_network("0.0.0.0/0"),))[1]["trusted proxies"]["state"] == "failed"


@pytest.mark.acceptance("M-4")
def test_too_few_descriptors_for_the_connections_is_a_failure_that_names_the_number(ctx, examine):
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code, checks, _ = examine(worker_connections=soft)
    assert code == 1
    assert str(2 * soft + 500) in checks["descriptors"]["fix"]


def test_a_data_directory_that_cannot_be_written_is_a_failure(ctx, examine):
    code, checks, _ = examine(data_dir=Path("/proc/nowhere"))
    assert code == 1
    assert "REALMS_DATA_DIR" in checks["data directory"]["fix"]
