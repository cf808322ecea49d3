"""One browser, and one house with life in it, for every look at the pages."""

import os
from pathlib import Path

import pytest

from tests import live
from tests.faults.clients import RESPONSES, Client
from tests.pages import life
from tests.pages.looking import look
from tests.rooms import Browser

CHROMIUM = Path("/usr/bin/chromium")
FOLDER = Path(__file__).parent
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--mute-audio"]


def pytest_collection_modifyitems(items):
    for item in items:
        if FOLDER in item.path.parents:  # and not wherever somebody keeps the sources in a folder of that name
            item.add_marker(pytest.mark.pages)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM.exists():
        message = "Chromium is not installed (Debian: apt install chromium): no page was looked at"
        (pytest.fail if os.environ.get("CI") == "true" and os.geteuid() == 0 else pytest.skip)(message)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=str(CHROMIUM), args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def provider():
    with live.open_provider() as running:
        yield running


@pytest.fixture(scope="session")
def house(provider, tmp_path_factory):
    """A running Realms on SQLite."""
    folder = tmp_path_factory.mktemp("pages")
    mail = {"smtp_url": "smtp+plain://127.0.0.1:9", "mail_from": "realms@example.com"}
    with live.database("sqlite", folder, "pages") as url, live.open_house(folder, url, provider, **mail) as running:
        running.changed(lambda: life.furnish(running))
        yield running


@pytest.fixture(scope="session")
def cookie_of(house):
    """Return the cookie of a person who has just signed in."""
    kept = {}

    def of(who):
        if who not in kept:
            made = Browser(house.app).sign_in(f"{who}@example.com", live.PASSWORD).cookie()
            kept[who] = {"name": made.key, "value": made.value, "url": house.url}
        return kept[who]

    return of


@pytest.fixture(scope="session")
def windows(browser, cookie_of):
    """Return a window of somebody (nobody: the empty name) in a language: one for each, for all pages."""
    opened = {}

    def window(who, language):
        if (who, language) not in opened:
            manager = look(browser, language=language, cookie=cookie_of(who) if who else None)
            opened[who, language] = manager, manager.__enter__()
        return opened[who, language][1]

    yield window
    for manager, _seen in opened.values():
        manager.__exit__(None, None, None)


@pytest.fixture(scope="session")
def vandalised(house):
    """The house after somebody typed scripts into every field, and with a call under way."""
    house.changed(lambda: life.vandalise(house))
    evil = {"model": "sim-1", "input": "x", "user": life.EVIL}
    assert house.post("/v1/responses", evil, who="mallory", user_agent=life.EVIL).status == 200
    with Client(house, who="mallory") as client:
        client.send(RESPONSES, "fault=hang_after:3")
        client.read_until(b"\n\n", 2)
        yield house
