"""One browser and one house for every look at the pages."""

import os
from pathlib import Path

import pytest

from app.extensions import db
from app.services import accounts, catalog, choices, tokens, upstreams
from tests import live

CHROMIUM = Path("/usr/bin/chromium")
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{7*7}}"
"""What somebody might type into every field that is shown to others."""


def pytest_collection_modifyitems(items):
    for item in items:
        if "pages" in item.path.parts:
            item.add_marker(pytest.mark.pages)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM.exists():
        message = "Chromium is not installed (Debian: apt install chromium): no page was looked at"
        (pytest.fail if os.environ.get("CI") == "true" and os.geteuid() == 0 else pytest.skip)(message)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def provider():
    with live.open_provider() as running:
        yield running


@pytest.fixture(scope="session")
def house(provider, tmp_path_factory):
    """A running Realms on SQLite with some life in it, and strings that would be scripts if anything let them."""
    folder = tmp_path_factory.mktemp("pages")
    with (
        live.database("sqlite", folder, "pages") as url,
        live.open_house(
            folder, url, provider, smtp_url="smtp+plain://127.0.0.1:9", mail_from="realms@example.com"
        ) as running,
    ):
        running.changed(lambda: _live_in(running))
        for n in range(6):
            answer = running.post("/v1/responses", {"model": "sim-1", "input": f"hello {n}"})
            assert answer.status == 200, answer.body
        running.post("/v1/responses", {"model": "nobody-has-this", "input": "x"})
        live.until(lambda: len(running.rows("SELECT id FROM records")) >= 6)
        yield running


def _live_in(house):
    admin, alice = accounts.by_email("admin@example.com"), accounts.by_email("alice@example.com")
    accounts.update_user(alice.id, name="Alice", role="user", actor=admin)
    mallory = accounts.create_user(email="mallory@example.com", password=live.PASSWORD, name=EVIL[:100], actor=admin)
    house.users["mallory"] = mallory.id
    house.tokens["mallory"] = tokens.mint(mallory, name=EVIL[:100], actor=mallory).secret
    for user in (alice, admin):
        tokens.mint(user, name=EVIL[:100], actor=user)
    upstreams.create(
        name=EVIL[:100], kind="openai", base_url=house.provider.url, key="sim-evil", priority=0, weight=1, actor=admin
    )
    catalog.import_models(house.upstreams["main"], {"sim-1": None, "sim-large": None}, actor=admin)
    catalog.import_models(house.upstreams["claude"], {"claude-opus-5": None}, actor=admin)
    choices.choose(choices.Choices(registration="open", mail_domains="*"), actor=admin)
    db.session.commit()


@pytest.fixture(scope="session")
def signed_in(browser, house):
    """Return the cookies of a person who has just signed in."""
    kept = {}

    def of(who):
        if who not in kept:
            context = browser.new_context(locale="en")
            page = context.new_page()
            page.goto(f"{house.url}/login")
            page.fill("[name=email]", f"{who}@example.com")
            page.fill("[name=password]", live.PASSWORD)
            page.click("main button[type=submit]")
            page.wait_for_url(f"{house.url}/")
            kept[who] = context.storage_state()
            context.close()
        return kept[who]

    return of
