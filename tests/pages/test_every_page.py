"""Every page in two languages, two schemes and two widths: quiet, accessible, and as wide as the window."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from tests.faults.clients import RESPONSES, Client
from tests.pages.looking import AXE
from tests.web.test_access import ADMIN_ONLY, GONE, OPEN, RULES, is_file, rules

PLACES = {"upstream_id": 1, "credential_id": 1, "user_id": 2, "token_id": 2, "price_id": 1}
PLACES |= {"row_id": 1, "record_id": f"{1:032x}"}
MORE = {
    "": ["/nothing-here"],
    "alice": ["/?days=1", "/usage?status=error", "/usage/evil-2", "/nothing-here"],
    "admin": [
        "/admin/upstreams/4",
        "/admin/requests?status=418",
        "/admin/requests/evil-2",
        "/admin/users/5",
        "/admin/explain?model=gpt-5",
        "/admin/explain?request=req_000013",
        "/usage/conversations",
        "/tokens",
    ],
}
LOOKS = {"en": (("phone", "dark"), ("wide", "light")), "zh-CN": (("wide", "light"), ("phone", "dark"))}
"""Widths and schemes for each language, axe looks at the last: layouts and colours know nothing of words."""
SHOTS = os.environ.get("REALMS_TEST_SHOTS")
"""A folder for a picture of each, where somebody wants to look at them."""


def pages(house):
    """Yield who looks at which page."""
    route = house.rows("SELECT id, model_id FROM routes WHERE model_id = (SELECT model_id FROM prices WHERE id = 1)")[0]
    places = PLACES | {"model_id": route["model_id"], "route_id": route["id"]}
    app = house.app
    with app.test_request_context():
        for rule in sorted(rules(app), key=lambda rule: rule.rule):
            if "GET" not in rule.methods or rule.rule in GONE or is_file(rule) or "/accounts/" in rule.rule:
                continue
            for who in {OPEN: ("",), ADMIN_ONLY: ("admin",)}.get(RULES[rule.rule], ("alice",)):
                yield who, rule.build({name: places[name] for name in rule.arguments})[1]
    for who, paths in MORE.items():
        yield from ((who, path) for path in paths)


@pytest.mark.acceptance("C-6", "C-17")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", LOOKS)
def test_every_page_is_quiet_accessible_and_fits(vandalised, windows, language):
    wrong = []
    for who, path in dict.fromkeys(pages(vandalised)):
        seen = windows(who, language)
        answer = seen.page.goto(vandalised.url + path)
        found = [f"answered {answer.status}"] if answer.status != (404 if path == "/nothing-here" else 200) else []
        found += [] if seen.page.title() else ["no title"]
        for width, scheme in LOOKS[language]:
            over = seen.sized(width, scheme)
            found += [f"{over} px wider than a {width} window"] if over > 0 else []
            if SHOTS:
                name = re.sub(r"\W+", "-", f"{who}{path}") + f".{language}.{width}.{scheme}.png"
                seen.page.screenshot(path=Path(SHOTS) / name, full_page=True)
        found += seen.axe()
        found += [line for line in seen.told() if path != "/nothing-here" or "404" not in line]
        wrong += [f"{who}{path} {language}: {line}" for line in found]
    assert not wrong, "\n".join(wrong)


def test_what_was_typed_is_shown_as_text(vandalised, windows):
    for who, path, count in (
        ("alice", "/tokens", 1),
        ("admin", "/admin/users/5", 1),
        ("admin", "/admin/upstreams/4", 2),
    ):
        page = windows(who, "en").page
        page.goto(vandalised.url + path)
        assert page.locator("body").inner_text().count("<script>alert(1)</script>") >= count, path


def test_live_calls_change_by_themselves(vandalised, windows):
    seen = windows("admin", "en")
    seen.page.goto(f"{vandalised.url}/admin/live")
    with Client(vandalised, who="carol") as client:
        client.send(RESPONSES, "fault=hang_after:3")
        client.read_until(b"\n\n", 2)
        row = seen.page.locator("tr", has_text="carol@example.com")
        row.wait_for(timeout=15_000)
        row.get_by_role("button").click()
        seen.page.get_by_text("The call is being ended").wait_for()
        assert b"ended by its owner or by an administrator" in client.rest()
    assert not seen.told()


def test_the_vendored_tool_is_the_published_one():
    versions = AXE.with_name("VERSIONS").read_text().splitlines()[1:]
    for line in versions:
        name, *_, digest = line.split()
        assert hashlib.sha256(AXE.with_name(name).read_bytes()).hexdigest() == digest
