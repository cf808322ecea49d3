import pytest

from tests.contract.objects import Witness
from tests.figures import tell  # noqa: F401
from tests.house_fixtures import *  # noqa: F403


@pytest.fixture(scope="session")
def witness(provider):
    """Tells what reached the provider."""
    return Witness(provider)


@pytest.fixture
def reached(witness, sim):
    """What reached the provider since the test began."""
    witness.new()
    return witness.new
