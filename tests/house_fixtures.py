"""Fixtures for tests that talk to a running Realms; a `conftest.py` takes them in with one import.

`one_provider` and `one_house` stand in `tests/conftest.py` alone, so that all folders of tests share them.
"""

import os

import pytest

from tests import live

__all__ = ["anthropic_of", "house", "openai_of", "provider", "sim"]


@pytest.fixture(scope="session")
def one_provider():
    with live.open_provider() as running:
        yield running


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def one_house(request, one_provider, tmp_path_factory, worker_name):
    """One running Realms for each database, shared; tests leave it as they found it.

    The one on SQLite runs as it is shipped, the one on PostgreSQL without what is only there for speed
    (`REALMS_FAST=0`): whatever is tested on both databases is tested on both ways through the server, too.
    """
    folder = tmp_path_factory.mktemp(f"house-{request.param}")
    name = f"realms_house_{worker_name}_{os.getpid()}"
    with live.database(request.param, folder, name) as url:
        with live.open_house(folder, url, one_provider, fast="1" if request.param == "sqlite" else "0") as running:
            yield running


@pytest.fixture(scope="session")
def provider(one_provider):
    """The simulated provider, in a process of its own."""
    return one_provider


@pytest.fixture(scope="session")
def house(one_house):
    """A running Realms, on each database."""
    return one_house


@pytest.fixture
def sim(provider):
    """The provider without faults."""
    provider.control("DELETE", "faults")
    return provider


@pytest.fixture(scope="session")
def openai_of(house):
    """Return a person's OpenAI client, without retries."""
    import openai  # here and below: it takes as long as all else that a test imports, and few tests need it

    clients = {}

    def client(who="alice"):
        if who not in clients:
            clients[who] = openai.OpenAI(api_key=house.tokens[who], base_url=f"{house.url}/v1", max_retries=0)
        return clients[who]

    yield client
    for made in clients.values():
        made.close()


@pytest.fixture(scope="session")
def anthropic_of(house):
    """Return a person's Anthropic client, without retries."""
    import anthropic

    clients = {}

    def client(who="alice"):
        if who not in clients:
            clients[who] = anthropic.Anthropic(api_key=house.tokens[who], base_url=house.url, max_retries=0)
        return clients[who]

    yield client
    for made in clients.values():
        made.close()
