"""Every page in two languages, two schemes and two widths: quiet, accessible, and as wide as the window."""

import hashlib

import pytest

from tests.faults.clients import RESPONSES, Client
from tests.pages.looking import AXE
from tests.web.test_access import ADMIN_ONLY, GONE, OPEN, RULES, is_file, rules

PLACES = {"upstream_id": 1, "credential_id": 1, "user_id": 2, "token_id": 2, "price_id": 1}
SIGNED_IN_TO = 5
"""The upstream whose credentials are accounts."""
PLACES |= {"announcement_id": 1, "row_id": 1, "record_id": f"{1:032x}"}
MORE = {
    "": ["/forgot", "/register", "/nothing-here"],
    "alice": ["/?days=1", "/usage?status=error", "/usage/evil-2", "/nothing-here"],
    "admin": [
        "/admin/upstreams/4",
        "/admin/requests?status=418",
        "/admin/requests/evil-2",
        "/admin/explain?model=gpt-5",
        "/admin/explain?request=req_000013",
        "/usage/conversations",
        "/tokens",
    ],
}
LANGUAGES = ("en", "zh-CN")


def pages(house):
    """Yield who looks at which page."""
    route = house.rows("SELECT id, model_id FROM routes WHERE model_id = (SELECT model_id FROM prices WHERE id = 1)")[0]
    places = PLACES | {"model_id": route["model_id"], "route_id": route["id"]}
    app = house.app
    with app.test_request_context():
        for rule in sorted(rules(app), key=lambda rule: rule.rule):
            if "GET" not in rule.methods or rule.rule in GONE or is_file(rule):
                continue
            here = places | ({"upstream_id": SIGNED_IN_TO} if "/accounts/" in rule.rule else {})
            for who in {OPEN: ("",), ADMIN_ONLY: ("admin",)}.get(RULES[rule.rule], ("alice",)):
                yield who, rule.build({name: here[name] for name in rule.arguments})[1]
    for who, paths in MORE.items():
        yield from ((who, path) for path in paths)
    yield "admin", f"/admin/users/{house.users['mallory']}"


@pytest.mark.acceptance("C-6", "C-17")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_quiet_accessible_and_fits(vandalised, windows, language):
    wrong = []
    for turn, (who, path) in enumerate(dict.fromkeys(pages(vandalised)), start=LANGUAGES.index(language)):
        seen = windows(who, language)
        answer = seen.page.goto(vandalised.url + path)
        found = [] if answer.status == (404 if path == "/nothing-here" else 200) else [f"answered {answer.status}"]
        found += seen.wrong(f"{who}{path}", turn)
        wrong += [line for line in found if path != "/nothing-here" or "404" not in line]
    assert not wrong, "\n".join(wrong)


def test_what_was_typed_is_shown_as_text(vandalised, windows):
    for who, path, count in (
        ("alice", "/tokens", 1),
        ("admin", f"/admin/users/{vandalised.users['mallory']}", 1),
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
