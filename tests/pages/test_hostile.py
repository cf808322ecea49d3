"""What people and upstreams write stays text, nobody frames a page, and everything is done by keyboard."""

import pytest
from sqlalchemy import select

from app.extensions import db
from app.models import Upstream
from app.services import accounts, announcements, choices, upstreams
from tests import live
from tests import provider as providers
from tests.pages.life import EVIL
from tests.pages.looking import look

ALICE = ["/", "/tokens", "/usage", "/connect", "/account"]
ADMIN = [
    "/admin",
    "/admin/upstreams",
    "/admin/models",
    "/admin/users",
    "/admin/requests",
    "/admin/audit",
    "/admin/objects",
]
ADMIN += ["/admin/announcements", "/admin/settings", "/admin/prices"]
IN_ONE_WORD = "<img/src=x/onerror=alert(3)>"
REACHED = """
() => {
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")];
  const seen = all.filter((e) => e.checkVisibility() && !e.disabled && e.type !== "hidden");
  window.wanted = seen.filter((e) => e.type !== "radio" || e.checked);
  return window.wanted.length;
}
"""


@pytest.fixture(scope="module")
def written(vandalised):
    """Markup wherever somebody outside can write: the names of people, tokens and upstreams have it already."""
    house = vandalised
    with providers.provider() as evil:
        evil.status, evil.body = 500, EVIL.encode()
        house.changed(lambda: _write(evil))
        house.post("/v1/responses", {"model": IN_ONE_WORD, "input": "x", "metadata": {"x": EVIL}}, user_agent=EVIL)
        house.post("/v1/responses", {"model": "sim-1", "input": "x"}, user_agent=EVIL, referer=EVIL)
        house.post("/v1/responses", {"model": "sim-1", "input": "x"}, who="mallory", user_agent=EVIL)
        query = f"SELECT id FROM records WHERE model = '{IN_ONE_WORD}'"
        yield live.until(lambda: house.rows(query))[0]["id"]


def _write(evil):
    admin = accounts.by_email("admin@example.com")
    announcements.announce(EVIL, days=0, actor=admin)
    present = choices.present()
    choices.choose(choices.Choices(contact=EVIL, registration=present.registration, mail_domains="*"), actor=admin)
    upstreams.create(name="talks", kind="openai", base_url=evil.url, key="sim-x", priority=0, weight=1, actor=admin)


def _number_of(house, name):
    with house.app.app_context():
        return db.session.scalar(select(Upstream.id).where(Upstream.name == name))


@pytest.mark.acceptance("C-9")
@pytest.mark.parametrize("who", ["alice", "admin", ""])
def test_what_is_written_stays_text(browser, house, cookie_of, written, who):
    admins = [*ADMIN, f"/admin/requests/{written}", f"/admin/users/{house.users['mallory']}", "/admin/live"]
    paths = {"alice": [*ALICE, f"/usage/{written}", "/usage/live", "/catalogue"], "admin": admins, "": ["/login"]}[who]
    shown = set()
    with look(browser, cookie=cookie_of(who) if who else None) as seen:
        for path in paths:
            seen.page.goto(house.url + path)
            assert seen.page.locator("img[src='x'], main script").count() == 0, path
            text = seen.page.inner_text("body")
            shown |= {word for word in ("alert(1)", "alert(3)", "{{7*7}}") if word in text}
            seen.complaints += seen.violations()
        if who == "admin":
            number = _number_of(house, "talks")
            seen.page.goto(f"{house.url}/admin/upstreams/{number}")
            seen.page.click(f"form[action='/admin/upstreams/{number}/test'] button")
            seen.page.get_by_text("alert(1)").first.wait_for()  # the page comes while the test goes on
            seen.page.wait_for_load_state()
            assert seen.page.locator("img[src='x'], main script").count() == 0
        told = [line for line in seen.complaints if "404" not in line]
    assert told == []
    assert shown == {"alice": {"alert(1)", "alert(3)", "{{7*7}}"}, "admin": {"alert(1)", "alert(3)", "{{7*7}}"}}.get(
        who, {"alert(1)", "{{7*7}}"}
    )


@pytest.mark.acceptance("C-16")
def test_no_page_can_be_framed(browser, house, cookie_of):
    with look(browser, cookie=cookie_of("alice")) as seen:
        for path in ("/login", "/tokens", "/docs", "/nothing-here"):
            seen.page.set_content(f"<iframe src='{house.url}{path}' width=500 height=500></iframe>")
            live.until(lambda: len(seen.page.frames) == 2)
            live.until(lambda: _blocked(seen.page), seconds=20)


def _blocked(page):
    page.wait_for_timeout(50)
    return page.frames[1].url.startswith("chrome-error://")


@pytest.mark.acceptance("C-17")
@pytest.mark.parametrize(
    ("who", "path"), [("alice", "/"), ("alice", "/tokens/new"), ("alice", "/account"), ("admin", "/admin/upstreams/1")]
)
def test_everything_is_reached_by_keyboard_and_seen_to_be(browser, house, cookie_of, who, path):
    with look(browser, cookie=cookie_of(who)) as seen:
        page = seen.page
        page.goto(house.url + path)
        page.evaluate("document.activeElement.blur()")
        count = page.evaluate(REACHED)
        hidden = []
        for _ in range(count + 5):
            page.keyboard.press("Tab")
            hidden += page.evaluate("""() => {
              const e = document.activeElement, s = getComputedStyle(e);
              window.wanted = window.wanted.filter((w) => w !== e);
              if (e.type === "date") return [];  // the browser marks the part that is meant
              const marked = s.outlineStyle !== "none" || s.boxShadow !== "none";
              return e === document.body || marked ? [] : [e.outerHTML.slice(0, 80)];
            }""")
        assert page.evaluate("window.wanted.map((e) => e.outerHTML.slice(0, 80))") == []
        assert hidden == []


@pytest.mark.acceptance("C-17")
def test_a_token_is_made_without_a_mouse(browser, house):
    with look(browser) as seen:
        page, keyboard = seen.page, seen.page.keyboard
        page.goto(f"{house.url}/login")
        keyboard.type("bob@example.com")
        keyboard.press("Tab")
        keyboard.type(live.PASSWORD)
        keyboard.press("Enter")
        page.wait_for_url(f"{house.url}/")
        page.goto(f"{house.url}/tokens/new")
        for _ in range(30):
            if page.evaluate("document.activeElement.name") == "name":
                break
            keyboard.press("Tab")
        keyboard.type("by keyboard")
        keyboard.press("Enter")
        page.wait_for_url("**/secret")
        assert "by keyboard" in page.inner_text("h1")
        assert seen.complaints + seen.violations() == []
