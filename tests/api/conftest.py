"""A house with short deadlines behind a trusted proxy; what is tested here is the same on every database."""

import pytest

from tests import live
from tests.contract.objects import Witness
from tests.house_fixtures import provider, sim  # noqa: F401

SETTINGS = {
    "BODY_S": "1",
    "KEEPALIVE_S": "2",
    "PUBLIC_URL": "https://realms.example.com",
    "TRUSTED_PROXIES": "127.0.0.1",
    "CORS_ORIGINS": "https://app.example.com",
}


@pytest.fixture(scope="session")
def house(provider, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("api-house")
    with live.database("sqlite", folder, "") as url, live.open_house(folder, url, provider, **SETTINGS) as running:
        yield running
        assert "internal_error" not in running.log.read_text(), "something that was sent broke something inside"


@pytest.fixture(scope="session")
def witness(provider):  # noqa: F811
    return Witness(provider)


@pytest.fixture
def reached(witness, sim):  # noqa: F811
    """What reached the provider since the test began."""
    witness.new()
    return witness.new
