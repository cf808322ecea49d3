"""A new operator's way in the browser: from the set-up link to the first answer, without reading anything."""

import re
import subprocess
import time

import pytest

from app.extensions import db
from app.services import setup
from tests import live
from tests.pages.looking import look

BOUND_S = 90


@pytest.fixture
def fresh(provider, tmp_path, monkeypatch):
    """A running Realms in which nobody has done anything yet."""
    monkeypatch.setattr(live, "_furnish", lambda house: None)
    with live.database("sqlite", tmp_path, "fresh") as url, live.open_house(tmp_path, url, provider) as running:
        yield running


def test_from_the_set_up_link_to_the_first_answer(browser, fresh, provider):
    with fresh.app.app_context():
        link = setup.link()
        db.session.remove()
    began = time.monotonic()
    with look(browser) as seen:
        page = seen.page
        page.goto(link)
        assert seen.wrong("/setup") == []
        page.fill("[name=email]", "admin@example.com")
        page.fill("[name=password]", live.PASSWORD)
        page.fill("[name=again]", live.PASSWORD)
        page.click("main button[type=submit]")
        page.click(".guide a[role=button]")
        page.fill("[name=name]", "main")
        page.fill("[name=base_url]", f"{provider.url}/v1")
        page.fill("[name=key]", "sim-main")
        page.click("main form button[type=submit] >> nth=-1")
        page.locator(".guide .done").nth(3).wait_for()  # the page comes while the test goes on
        page.wait_for_load_state()
        assert page.locator(".guide .done").count() == 4, "tested step by step"
        assert seen.wrong("/admin/upstreams/1 tested") == []
        page.goto(f"{fresh.url}/")
        assert seen.wrong("/ with the guide", 1) == []
        page.click(".guide a[role=button]")
        page.locator("main input[type=checkbox]").first.check()
        page.click("main form button[type=submit] >> nth=-1")
        page.goto(f"{fresh.url}/tokens/new")
        page.fill("[name=name]", "laptop")
        page.click("main form button[type=submit]")
        commands = page.locator("pre code").all_text_contents()
        curl = next(text for text in commands if text.lstrip().startswith("curl"))
        time.sleep(1.0)  # the promise of api.md: in force within 1 s
        answer = subprocess.run(["/bin/sh", "-c", curl], capture_output=True, text=True, timeout=30, check=True).stdout
        assert re.search(r'"(status|object|content)"', answer), answer
        assert not seen.told()
    assert time.monotonic() - began <= BOUND_S
