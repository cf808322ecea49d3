"""The pictures of both READMEs, made of a running house: ``make pictures`` writes them."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.clients import MESSAGES, RESPONSES, Client
from tests.pages.looking import look

FOLDER = os.environ.get("PICTURES")
"""Where the pictures go; without it none are made."""
SIZE = {"width": 1200, "height": 760}
MOST = 100_000
"""Bytes of a picture."""
RUNNING = (
    ("admin", RESPONSES, "gpt-5", "events=90,fault=hang_after:40"),
    ("bob", MESSAGES, "claude-opus-5", "events=90,fault=hang_after:12"),
    ("carol", RESPONSES, "gpt-5-mini", "fault=hang_after:4"),
)
LANGUAGES = {"en": "", "zh-CN": ".zh"}


@pytest.mark.skipif(FOLDER is None, reason="make pictures makes them")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("language", LANGUAGES)
def test_pictures(browser, house, cookie_of, language):
    heavy = {}

    def take(seen, name, path, *, press=None, until=None, scheme="light"):
        seen.page.emulate_media(color_scheme=scheme)
        seen.page.goto(house.url + path)
        if press:
            seen.page.click(press)
        if until:
            seen.page.locator(until).first.wait_for(timeout=15_000)
        file = Path(FOLDER) / f"{name}{LANGUAGES[language]}.png"
        seen.page.screenshot(path=file)
        if file.stat().st_size > MOST:
            heavy[file.name] = file.stat().st_size

    with ExitStack() as stack:
        for who, talk, model, fault in RUNNING:
            house.provider.control("POST", "faults", {"fault": fault, "path": talk.path, "times": 1})
            client = stack.enter_context(Client(house, who=who))
            client.send(talk, model=model)
            client.read_until(b"\n\n", 2)
        alice = stack.enter_context(look(browser, language=language, cookie=cookie_of("alice")))
        admin = stack.enter_context(look(browser, language=language, cookie=cookie_of("admin")))
        for seen in (alice, admin):
            seen.page.set_viewport_size(SIZE)
        take(alice, "dashboard", "/")
        take(alice, "connect", "/connect?model=gpt-5")
        take(alice, "request", f"/usage/{19 * 10:032x}", scheme="dark")
        take(admin, "overview", "/admin")
        take(admin, "upstream", "/admin/upstreams/1", press="main .head form button >> nth=0", until=".guide .done")
        take(admin, "live", "/admin/live", until="main tbody tr")
    assert heavy == {}
