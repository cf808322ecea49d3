from contextlib import ExitStack

import pytest

from tests import live
from tests.house_fixtures import *  # noqa: F403


@pytest.fixture(scope="session")
def houses(provider, tmp_path_factory):
    """A Realms as it is shipped, and one that leaves every request to gunicorn and Flask."""
    with ExitStack() as stack:
        opened = []
        for fast in ("1", "0"):
            folder = tmp_path_factory.mktemp(f"lean-{fast}")
            url = stack.enter_context(live.database("sqlite", folder, ""))
            opened.append(stack.enter_context(live.open_house(folder, url, provider, fast=fast, heartbeat_s="0.3")))
        yield opened
