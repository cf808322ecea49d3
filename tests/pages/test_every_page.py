"""Each page in two languages, two schemes and two widths: quiet, accessible, and as wide as the window."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from tests.pages.looking import AXE, look

OPEN = ["/login", "/forgot", "/register", "/docs", "/check"]
ALICE = [
    "/",
    "/tokens",
    "/tokens/new",
    "/usage",
    "/usage/live",
    "/usage/conversations",
    "/connect",
    "/account",
    "/account/second-factor",
]
ADMIN = ["/admin", "/admin/upstreams", "/admin/upstreams/new", "/admin/upstreams/1", "/admin/models", "/admin/models/1"]
ADMIN += [
    "/admin/users",
    "/admin/requests",
    "/admin/live",
    "/admin/prices",
    "/admin/users/new",
    "/admin/users/2",
    "/admin/users/invite",
]
ADMIN += ["/admin/users/2/reset-link", "/admin/audit", "/admin/objects", "/admin/objects/1/forget"]
ADMIN += ["/admin/announcements", "/admin/settings", "/admin/prices", "/admin/requests", "/nothing-here"]
PAGES = [("", path) for path in OPEN] + [("alice", path) for path in ALICE] + [("admin", path) for path in ADMIN]
EXAMINED = {("en", "wide"), ("zh-CN", "phone")}
"""Where axe looks: its rules know words, and layouts, but not the two together."""
SHOTS = os.environ.get("REALMS_TEST_SHOTS")
"""A folder for a picture of each, where somebody wants to look at them."""


@pytest.mark.acceptance("C-6", "C-17")
@pytest.mark.parametrize(("who", "path"), PAGES)
def test_a_page_is_quiet_accessible_and_fits(browser, house, signed_in, who, path):
    wrong = []
    for language in ("en", "zh-CN"):
        for width in ("wide", "phone"):
            cookies = signed_in(who) if who else None
            with look(browser, language=language, width=width, cookies=cookies) as seen:
                seen.page.goto(house.url + path)
                assert seen.page.title(), path
                for scheme in ("light", "dark"):
                    seen.page.emulate_media(color_scheme=scheme)
                    where = f"{path} {language} {width} {scheme}: "
                    if (language, width) in EXAMINED:
                        wrong += [where + line for line in seen.axe()]
                    if SHOTS:
                        name = re.sub(r"\W+", "-", f"{who}{path}") + f".{language}.{width}.{scheme}.png"
                        seen.page.screenshot(path=Path(SHOTS) / name, full_page=True)
                told = seen.complaints if path != "/nothing-here" else [c for c in seen.complaints if "404" not in c]
                wrong += [f"{path} {language} {width}: {line}" for line in told + seen.violations()]
                if (over := seen.sideways()) > 0:
                    wrong.append(f"{path} {language} {width}: {over} px wider than the window")
    assert not wrong, "\n".join(wrong)


def test_the_vendored_tool_is_the_published_one():
    versions = AXE.with_name("VERSIONS").read_text().splitlines()[1:]
    for line in versions:
        name, *_, digest = line.split()
        assert hashlib.sha256(AXE.with_name(name).read_bytes()).hexdigest() == digest
