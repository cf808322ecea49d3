import json
from dataclasses import replace

import pytest

from app.extensions import db
from app.models import Credential
from app.services import upstreams
from app.services.context import context
from app.services.vault import Vault
from tests.conftest import VAULT_KEY

pytestmark = pytest.mark.any_database
NEW_KEY = "a-newer-vault-key-for-tests-long-enough"


@pytest.fixture
def main(ctx):
    return upstreams.create(
        name="main", kind="openai", base_url="", key="sk-0123456789abcdef", priority=0, weight=1, actor=None
    )


@pytest.mark.acceptance("J-2")
def test_rotation_seals_everything_with_the_first_key(app, cli, main):
    app.extensions["realms"] = replace(context(), vault=Vault([NEW_KEY, VAULT_KEY]))
    result = cli.invoke(args=["keys", "rotate"])
    assert (result.exit_code, result.stdout) == (0, "1 secrets sealed with the first key.\n")
    sealed = upstreams.by_name("main").credentials[0].sealed
    assert Vault([NEW_KEY]).open(sealed, origin="https://api.openai.com") == "sk-0123456789abcdef"


def test_what_no_key_opens_is_named_and_kept_with_exit_1(cli, main):
    foreign = Vault([NEW_KEY]).seal("x", origin=main.base_url)
    db.session.add(Credential(upstream_id=main.id, name="foreign", sealed=foreign))
    db.session.commit()
    result = cli.invoke(args=["keys", "rotate", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"sealed": 1, "broken": ["main/foreign"]}
    assert "main/foreign" in result.stderr
    assert upstreams.by_name("main").credentials[1].sealed == foreign
