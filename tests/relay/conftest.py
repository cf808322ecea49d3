"""Servers on real sockets that say what they are told to, in threads of their own."""

import ssl

import pytest
import trustme

from tests.relay.servers import serving


@pytest.fixture
def serve():
    """Start a server for this test: one script for each connection, see `serving`."""
    with serving() as start:
        yield start


@pytest.fixture(scope="session")
def authority():
    """Who signs the certificates of these tests."""
    return trustme.CA()


@pytest.fixture
def trusting(authority):
    """A client's context that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context
